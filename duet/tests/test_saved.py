"""pytest-duet --saved: verdicts from files that pytest-benchmark saved."""

import copy
import io
import json
import random
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_duet import command

MACHINE = {
    "node": "here",
    "cpu": {"brand_raw": "An Abacus 9000", "hz_actual_friendly": "2.6 GHz"},
    "python_version": "3.11.7",
    "threads": 2,
}
SIZES = (1, 16, 64)


def name(size):
    """A case's full name."""
    return f"benchmarks/test_step.py::test_step[size={size}]"


def new_run(seed, *, slower=1.0, sizes=SIZES):
    """A saved run whose medians spread by about 2 %, in pytest-benchmark's form."""
    rng = random.Random(seed)
    return {
        "machine_info": copy.deepcopy(MACHINE),
        "datetime": f"2026-01-01T00:00:00.{seed:06}",
        "benchmarks": [
            {
                "fullname": name(size),
                "group": None,
                "stats": {"median": 1e-3 * size * slower * (1 + rng.gauss(0, 0.02))},
                "extra_info": {"peak_memory_bytes": 10 * 2**20, "rate": 0.1, "reached": True},
            }
            for size in sizes
        ],
    }


@pytest.fixture
def compare(tmp_path, capsys, monkeypatch):
    """Save runs, compare them, and give the exit code, the judgements and what was printed."""

    def write(runs, side):
        files = [tmp_path / f"{side}{index}.json" for index in range(len(runs))]
        for file, run in zip(files, runs, strict=True):
            file.write_text(json.dumps(run))
        return [str(file) for file in files]

    def compare(base, head, *more):
        result = tmp_path / "gate.json"
        words = ["--saved", *write(base, "base"), "--against", *write(head, "head")]
        monkeypatch.chdir(tmp_path)
        code = command.main([*words, f"--json={result}", "--same=rate", "--same=reached", *more])
        judged = json.loads(result.read_text())["judgements"] if result.exists() else {}
        return code, judged, "".join(capsys.readouterr())

    return compare


def several(runs, first_seed, **kwargs):
    """That many runs."""
    return [new_run(first_seed + index, **kwargs) for index in range(runs)]


def test_equal_runs_are_ok(compare):
    """Host name and clock frequency differ between equal machines, and from minute to minute."""
    base, head = several(7, 0), several(7, 100)
    for run in head:
        run["machine_info"]["node"] = "there"
        run["machine_info"]["cpu"]["hz_actual_friendly"] = "3.1 GHz"

    code, judged, text = compare(base, head)

    assert code == 0, text
    assert set(judged) == {*map(name, SIZES), "benchmarks/test_step.py::test_step"}
    assert {judgement["verdict"] for judgement in judged.values()} == {"ok"}


@pytest.mark.parametrize(
    ("runs", "slower", "code", "verdict"),
    [
        (7, 1.2, 1, "regression"),
        (6, 1.2, 1, "regression"),
        (7, 1 / 1.2, 0, "improvement"),
        (5, 3, 3, "inconclusive"),
        (1, 3, 3, "inconclusive"),
    ],
)
def test_a_difference_is_found_with_enough_runs(compare, runs, slower, code, verdict):
    """Four hypotheses need 6 runs a side, since each is tested at 1 % after Holm."""
    ended, judged, text = compare(several(runs, 0), several(runs, 100, slower=slower))

    assert ended == code
    assert {judgement["verdict"] for judgement in judged.values()} == {verdict}
    needed = f"too few runs: {runs} and {runs}, and 6 a side are needed"
    assert (needed in text) == (verdict == "inconclusive")


DIFFERENCES = {
    "python_version": lambda run: run["machine_info"].update(python_version="3.12.1"),
    "threads": lambda run: run["machine_info"].update(threads=1),
    "torch": lambda run: run["machine_info"].update(torch="2.14.1"),
    "cpu": lambda run: run["machine_info"]["cpu"].update(brand_raw="A Slide Rule"),
    "is a run that is given twice": lambda run: run.update(datetime="2026-01-01T00:00:00.000100"),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_runs_of_another_machine_or_version_are_refused_by_name(compare, what):
    """Before anything is judged."""
    base, head = several(2, 0), several(2, 100)
    DIFFERENCES[what](head[1])

    code, judged, text = compare(base, head)

    assert code == 4
    assert not judged
    assert f"differ in {what}" in text or what in text.split("json ")[-1]


def test_each_case_is_judged_by_itself_and_never_passes_unmeasured(compare):
    """A base without a figure is compared with nothing; a head without it is incomparable."""
    sizes = (1, 2, 4, 8, 16, 32, 64)
    base, head = several(7, 0, sizes=sizes), several(7, 100, sizes=sizes)
    extra_of = [[case["extra_info"] for case in run["benchmarks"]] for run in head]
    extra_of[0][0]["reached"] = False
    for extra in extra_of:
        extra[1]["peak_memory_bytes"] = 20 * 2**20
    extra_of[3][2]["peak_memory_bytes"] = 0  # as where none is stored
    for run in base:
        run["benchmarks"][3]["extra_info"]["peak_memory_bytes"] = 0
    extra_of[0][6]["rate"] = 0.2
    del head[3]["benchmarks"][5]

    code, judged, _ = compare(base, head)

    assert code == 1  # a regression is the worst
    assert {size: judged[name(size)]["reason"] for size in sizes} == {
        1: "reached is True in base0.json, False in head0.json",
        2: "peak memory grew from 10.0 to 20.0 MiB",
        4: "head no longer stores peak_memory_bytes",
        8: "",
        16: "",
        32: "missing in head3.json",
        64: "rate is 0.1 in base0.json, 0.2 in head0.json",
    }
    found = [judged[name(size)]["verdict"] for size in sizes]
    bad = ["incomparable", "regression", "incomparable"]
    assert found == [*bad, "ok", "ok", "incomparable", "incomparable"]


def paths(value, path=()):
    """Every place in a run, as a path of keys and positions."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield (*path, key)
        yield from paths(value[key], (*path, key))


PATHS = list(paths(new_run(0)))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=3,
)


@given(path=st.sampled_from(PATHS), value=anything)
def test_a_damaged_run_gives_a_result_or_one_sentence(path, value):
    """Whatever a field holds."""
    damaged = new_run(1)
    inner = damaged
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.json" for name in ("whole", "damaged")]
        for file, run in zip(files, (new_run(0), damaged), strict=True):
            file.write_text(json.dumps(run))
        with redirect_stderr(io.StringIO()) as errors, redirect_stdout(io.StringIO()):
            code = command.main(["--saved", str(files[0]), "--against", str(files[1])])

    assert code in {1, 2, 3, 4}
    assert errors.getvalue().count("\n") == bool(errors.getvalue())
