"""python -m bench gate --saved: verdicts from files that pytest-benchmark saved."""

import json
import random

import pytest

from bench import __main__ as bench_main
from bench.gate import saved as rank_tests
from bench.gate.pair_tests import LEVEL
from tests.runs import case, saved

SIZES = (1, 16, 64)


def name(size):
    """A case's full name."""
    return f"bench/test_step.py::test_step[engine=eager-batch_size={size}]"


def new_run(seed, *, slower=1.0, sizes=SIZES):
    """A saved run whose medians spread by about 2 %."""
    rng = random.Random(seed)
    return saved(
        *(
            case(
                "step",
                size,
                1e-3 * size * slower * (1 + rng.gauss(0, 0.02)),
                peak_memory_bytes=10 * 2**20,
            )
            for size in sizes
        ),
        when=f"2026-01-01T00:00:00.{seed:06}",
    )


@pytest.fixture
def compare(tmp_path, capsys):
    """Save runs, compare them, and give the exit code, the judgements and what was printed."""

    def write(runs, side):
        files = [tmp_path / f"{side}{index}.json" for index in range(len(runs))]
        for file, run in zip(files, runs, strict=True):
            file.write_text(json.dumps(run))
        return [str(file) for file in files]

    def compare(base, head, *more):
        result = tmp_path / "gate.json"
        words = ["--saved", *write(base, "base"), "--against", *write(head, "head")]
        code = bench_main.main(["gate", *words, f"--json={result}", *more])
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
    assert set(judged) == {*map(name, SIZES), "step[engine=eager]"}
    assert {one["verdict"] for one in judged.values()} == {"ok"}


def test_a_slowdown_is_a_regression_and_the_other_way_round_an_improvement(compare):
    """By a fifth, in runs that spread by 2 %."""
    slow, fast = several(7, 0, slower=1.2), several(7, 100)

    code, judged, _ = compare(fast, slow)
    assert code == 1
    assert {one["verdict"] for one in judged.values()} == {"regression"}

    code, judged, _ = compare(slow, fast)
    assert code == 0
    assert {one["verdict"] for one in judged.values()} == {"improvement"}


@pytest.mark.parametrize("runs", [1, 2, 4])
def test_too_few_runs_are_inconclusive_however_different(compare, runs):
    """And it says how many would do: four hypotheses, 1 % each after Holm, five runs a side."""
    code, judged, text = compare(several(runs, 0), several(runs, 100, slower=3))

    assert code == 3
    assert {one["verdict"] for one in judged.values()} == {"inconclusive"}
    assert f"too few runs: {runs} and {runs}, and 6 a side are needed" in " ".join(
        judged[name(1)]["reason"].split()
    )
    assert "Inconclusive, so nothing passed" in text


@pytest.mark.parametrize("hypotheses", [1, 2, 10, 40, 100])
def test_the_number_asked_for_is_enough_and_one_less_is_not(hypotheses):
    """The smallest reachable p passes the corrected level."""
    runs = rank_tests.runs_needed(hypotheses)

    assert rank_tests.smallest_p(runs, runs) <= LEVEL / hypotheses
    assert rank_tests.smallest_p(runs - 1, runs - 1) > LEVEL / hypotheses


DIFFERENCES = {
    "torch": lambda run: run["machine_info"].update(torch="2.14.1"),
    "threads": lambda run: run["machine_info"].update(threads=1),
    "cpu": lambda run: run["machine_info"]["cpu"].update(brand_raw="A Slide Rule"),
    "learning_rate": lambda run: run["benchmarks"][0]["extra_info"].update(learning_rate=0.2),
    # Runs saved before may have it; a run that does not name it is a float32 run.
    "precision": lambda run: run["benchmarks"][0]["extra_info"].update(precision="bfloat16"),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_runs_of_another_machine_version_or_option_are_refused_by_name(compare, what):
    """Before anything is judged."""
    base, head = several(2, 0), several(2, 100)
    DIFFERENCES[what](head[1])

    code, judged, text = compare(base, head)

    assert code == 4
    assert not judged
    assert f"differ in {what}" in text


def test_a_run_counts_once(compare):
    """Copies are no replicates."""
    run = new_run(1)

    code, _, text = compare([run] * 7, several(7, 100))

    assert code == 4
    assert "is a run that is given twice" in text


def test_each_case_is_judged_by_itself_and_never_passes_unmeasured(compare):
    """A base without a figure is compared with nothing; a head without it is incomparable."""
    sizes = (1, 2, 4, 8, 16, 32)
    base, head = several(7, 0, sizes=sizes), several(7, 100, sizes=sizes)
    extra_of = [[case["extra_info"] for case in run["benchmarks"]] for run in head]
    extra_of[0][0]["reached"] = False
    for extra in extra_of:
        extra[1]["peak_memory_bytes"] = 20 * 2**20
    extra_of[3][2]["peak_memory_bytes"] = 0  # as where none is stored
    for run in base:
        run["benchmarks"][3]["extra_info"]["peak_memory_bytes"] = 0
    head[3]["benchmarks"].pop()

    code, judged, _ = compare(base, head)

    assert code == 1  # a regression is the worst
    assert {size: judged[name(size)]["reason"] for size in sizes} == {
        1: "target not reached in 0 of 7 base runs and 1 of 7 head runs",
        2: "peak memory grew from 10.0 to 20.0 MiB",
        4: "head no longer stores peak_memory_bytes",
        8: "",
        16: "",
        32: "missing in head3.json",
    }
    found = [judged[name(size)]["verdict"] for size in sizes]
    bad = ["incomparable", "regression", "incomparable"]
    assert found == [*bad, "ok", "ok", "incomparable"]
