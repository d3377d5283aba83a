"""Several workers compared with one: the communication budget, and the command."""

import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench import __main__ as bench_main
from bench.best import scale_command
from bench.best.reference import Reference
from bench.laws.time_to_target import combine
from bench.measure.group_time import EXCHANGED_BYTES, Group, GroupTimes
from bench.units import WIDTH
from mnist_mlp.task_source import Source
from tests import idx, study

OVERHEAD, PER_SAMPLE = 1e-4, 5e-6
times = st.floats(min_value=1e-6, max_value=1e-2)
sizes = st.floats(min_value=1, max_value=1000)


def best_seconds(workers, exchange, overhead, per_sample, critical):
    """Least T(B, p) over batch sizes, by the two laws with S_min = 1."""
    overhead += exchange * (workers > 1)
    size = math.sqrt(workers * critical * overhead / per_sample)
    return (1 + critical / size) * (overhead + per_sample * size / workers)


@given(
    overhead=times,
    per_sample=times,
    critical=sizes,
    workers=st.integers(2, 1000),
    factor=st.floats(0, 3),
)
def test_workers_pay_just_within_the_budget(overhead, per_sample, critical, workers, factor):
    """At best batch sizes, several workers beat one exactly if the budget is not exceeded."""
    budget = scale_command.budget(overhead, per_sample, critical, workers)
    assume(abs(factor - 1) > 1e-6)

    alone, several = (
        best_seconds(p, budget * factor, overhead, per_sample, critical) for p in (1, workers)
    )

    assert (several < alone) == (factor < 1)


def new_times(exchange):
    """Times of two crews on a machine that follows the laws, with 1 % noise."""
    sizes = [2**power for power in range(11)]
    alone, two = Group(workers=1, threads=1), Group(workers=2, threads=1)

    def turns(seconds):
        return [[seconds * noise] for noise in (0.99, 1.01)]

    def step(size, workers, added):
        return turns(OVERHEAD + PER_SAMPLE * math.ceil(size / workers) + added)

    return GroupTimes(
        steps={
            alone: {size: step(size, 1, 0.0) for size in sizes},
            two: {size: step(size, 2, exchange) for size in sizes},
        },
        exchanges={two: {size: turns(exchange) for size in EXCHANGED_BYTES}},
    )


@pytest.mark.parametrize(
    ("exchange", "verb", "pays"), [(1e-3, "above", False), (1e-6, "within", True)]
)
def test_an_answer_says_whether_workers_pay(exchange, verb, pays):
    """Measured times and the budget agree on a machine where workers pay, and where not."""
    bounds = Reference.shipped().bounds(0.95)

    measured = new_times(exchange)
    times = {group: combine(bounds, turns) for group, turns in measured.steps.items()}
    alone, two = times.values()

    lines = scale_command.report(measured, times, target=0.95)

    assert (two.ratio_of_best(alone).value < 1) == pays
    assert f"exchange is {verb} the communication budget of " in " ".join(lines)
    assert len(lines) <= 30
    assert max(map(len, lines)) <= WIDTH


def test_what_was_measured_is_saved():
    """JSON holds the seconds of every turn."""
    saved = json.loads(scale_command.as_json(new_times(1e-3)))

    assert len(saved["steps"]) == 22
    assert saved["exchanges"][0]["crews"] == [[pytest.approx(0.99e-3)], [pytest.approx(1.01e-3)]]


def test_the_command_measures_one_worker_and_several(tmp_path, monkeypatch, capsys):
    """The command measures in fresh processes, draws a figure, and saves the times."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=300, test=20)
    monkeypatch.setattr(Reference, "shipped", study.findings)
    monkeypatch.setattr(scale_command, "LARGER_BATCH_SIZES", (512,))
    monkeypatch.setattr("bench.measure.group_time.TURN_SECONDS", 0.002)
    monkeypatch.setattr(scale_command, "Source", lambda **_: Source(data_root=tmp_path))
    files = [f"--figure={tmp_path}/scale.svg", f"--json={tmp_path}/scale.json"]

    code = bench_main.main(["scale", "--workers=2", "--crews=2", *files])

    output = capsys.readouterr().out
    assert code == 0
    assert "Time to target of 2 x 1 over that of 1 x 1, each at its best batch size" in output
    assert (tmp_path / "scale.svg").read_text().startswith("<svg")
    assert json.loads((tmp_path / "scale.json").read_text())["engine"] == "ddp"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--workers=1"], "'1' is not a whole number of at least 2"),
        (["--crews=1"], "'1' is not a whole number of at least 2"),
        (["--target-accuracy=0.5"], "steps to test accuracy 0.5 are not known"),
        (["--figure=scale.gif"], "'scale.gif' is not a figure"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(words, sentence, capsys):
    """Senseless options are an error before any worker is started."""
    try:
        code = bench_main.main(["scale", *words])
    except SystemExit as exit_:
        code = exit_.code

    assert code in {1, 2}
    assert sentence in capsys.readouterr().err
