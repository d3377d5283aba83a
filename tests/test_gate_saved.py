"""python -m bench gate --saved: verdicts from files that pytest-benchmark saved."""

import json
import random

import pytest

from bench import __main__ as bench_main
from bench.gate import saved as rank_tests
from bench.gate.pair_tests import LEVEL
from bench.gate.verdict import Verdict
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
            file.write_text(run if isinstance(run, str) else json.dumps(run))
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
    """Every case and the family."""
    code, judged, text = compare(several(7, 0), several(7, 100))

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


def test_host_name_and_clock_frequency_are_no_differences(compare):
    """They differ between equal machines, and from minute to minute."""
    base, head = several(7, 0), several(7, 100)
    for run in head:
        run["machine_info"]["node"] = "there"
        run["machine_info"]["cpu"]["hz_actual_friendly"] = "3.1 GHz"

    code, _, text = compare(base, head)

    assert code == 0, text


def test_a_run_counts_once(compare):
    """Copies are no replicates."""
    run = new_run(1)

    code, _, text = compare([run] * 7, several(7, 100))

    assert code == 4
    assert "is a run that is given twice" in text


def test_a_case_that_a_run_lacks_is_incomparable(compare):
    """The others get their verdicts."""
    head = several(7, 100)
    head[3]["benchmarks"].pop()

    code, judged, _ = compare(several(7, 0), head)

    assert code == 4
    assert judged[name(64)]["reason"] == "missing in head3.json"
    assert judged[name(1)]["verdict"] == "ok"


def test_time_to_a_target_that_was_not_reached_is_no_time(compare):
    """It says how many runs got there."""
    base, head = several(7, 0), several(7, 100)
    head[0]["benchmarks"][0]["extra_info"]["reached"] = False

    code, judged, _ = compare(base, head)

    assert code == 4
    assert judged[name(1)]["reason"] == (
        "target not reached in 0 of 7 base runs and 1 of 7 head runs"
    )


def test_growth_of_memory_in_every_run_is_a_regression(compare):
    """Whatever the speed."""
    head = several(7, 100)
    for run in head:
        run["benchmarks"][0]["extra_info"]["peak_memory_bytes"] = 20 * 2**20

    code, judged, _ = compare(several(7, 0), head)

    assert code == 1
    assert judged[name(1)]["reason"] == "peak memory grew from 10.0 to 20.0 MiB"
    assert judged[name(16)]["verdict"] == Verdict.OK


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ("nonsense", "is not JSON"),
        ("{}", "is no run that pytest-benchmark saved"),
        ("[]", "is no run that pytest-benchmark saved"),
        ('{"machine_info": {}, "benchmarks": [{}]}', "is no run that pytest-benchmark saved"),
    ],
)
def test_a_file_that_is_no_run_is_refused(compare, text, words):
    """In a sentence that names it."""
    code, _, printed = compare([text], several(1, 100))

    assert code == 2
    assert f"base0.json {words}" in printed
