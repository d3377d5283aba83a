"""What several workers are predicted to take, and the words and figures that say it."""

import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench import __main__ as bench_main
from bench.best import scale, scale_command, scale_figure, scale_words
from bench.best.reference import Reference
from bench.laws import scaling
from bench.measure.group_time import EXCHANGED_BYTES, GRADIENT_BYTES, Group, GroupTimes
from bench.report import picture
from bench.suite.options import groups

OVERHEAD, PER_SAMPLE, CRITICAL = 1e-4, 5e-6, 30.0
times = st.floats(min_value=1e-6, max_value=1e-2)
sizes = st.floats(min_value=1, max_value=1000)
worker_counts = st.integers(min_value=2, max_value=1000)


def to_target(batch_size, workers, exchange, overhead, per_sample, critical):
    """T(B, p) by the two laws, of a run that takes one step at batches without end."""
    step = overhead + exchange * (workers > 1) + per_sample * batch_size / workers
    return (1 + critical / batch_size) * step


@given(
    overhead=times, per_sample=times, critical=sizes, workers=worker_counts, factor=st.floats(0, 3)
)
def test_workers_pay_just_within_the_budget(overhead, per_sample, critical, workers, factor):
    """Each at its best batch size, they take less time than one only where it is not exceeded."""
    budget = scaling.budget(overhead, per_sample, critical, workers)
    exchange = budget * factor
    assume(abs(factor - 1) > 1e-6)

    one, several = (
        to_target(
            scaling.best_batch_size(overhead, per_sample, critical, exchange * (p > 1), p),
            p,
            exchange,
            overhead,
            per_sample,
            critical,
        )
        for p in (1, workers)
    )

    assert (several < one) == (factor < 1)


@given(
    overhead=times,
    per_sample=times,
    critical=sizes,
    workers=worker_counts,
    exchange=times,
    factor=st.floats(0.1, 10),
)
def test_no_other_batch_size_is_faster_than_the_best(
    overhead, per_sample, critical, workers, exchange, factor
):
    """By the two laws."""
    best = scaling.best_batch_size(overhead, per_sample, critical, exchange, workers)
    laws = workers, exchange, overhead, per_sample, critical

    assert to_target(best, *laws) <= to_target(best * factor, *laws) * (1 + 1e-9)


def test_a_share_is_rounded_up_and_needs_a_time():
    """Two workers of five samples wait for the one with three."""
    one = {1: [1.0], 3: [3.0], 5: [5.0]}

    assert scaling.shared(one, 2) == {1: [1.0], 5: [3.0]}
    assert scaling.with_exchange({5: [3.0, 4.0]}, [0.5, 1.0]) == {5: [3.5, 5.0]}


@given(latency=times, per_byte=st.floats(1e-12, 1e-6), workers=worker_counts)
def test_a_ring_is_predicted_from_the_exchanges_of_two(latency, per_byte, workers):
    """A planted latency and rate give the ring's exchange."""
    two = {size: [2 * latency + size * per_byte] for size in (40, 4_000_000)}

    (found,) = scaling.ring(two, workers, GRADIENT_BYTES)

    expected = 2 * (workers - 1) * (latency + GRADIENT_BYTES * per_byte / workers)
    assert found == pytest.approx(expected, rel=1e-3)


def new_times(exchange):
    """What two crews measured on a machine that keeps to the laws, with a little noise."""
    sizes = [2**power for power in range(11)]
    one, two = Group(workers=1, threads=1), Group(workers=2, threads=1)

    def turns(seconds):
        return [[seconds * noise] for noise in (0.99, 1.01)]

    def step(size, workers, added):
        return turns(OVERHEAD + PER_SAMPLE * math.ceil(size / workers) + added)

    return GroupTimes(
        steps={
            one: {size: step(size, 1, 0.0) for size in sizes},
            two: {size: step(size, 2, exchange) for size in sizes},
        },
        exchanges={two: {size: turns(exchange) for size in EXCHANGED_BYTES}},
    )


@pytest.fixture(scope="module")
def runs():
    """The steps of the study."""
    return Reference.shipped().runs(0.95, judged_on="test")


@pytest.mark.parametrize(
    ("exchange", "verb", "ahead"), [(1e-3, "is above", False), (1e-6, "is within", True)]
)
def test_an_answer_says_whether_workers_pay(runs, exchange, verb, ahead):
    """As predicted and as measured, on a machine where they do and on one where they don't."""
    found = scale.answer(new_times(exchange), runs, target=0.95, threads=1)

    two = next(one for one in found.several if one.workers == 2)
    predicted, measured = (
        scaling.ratio_of_best(times, found.one) for times in (two.predicted, two.measured)
    )
    assert (measured.value < 1) == ahead
    assert predicted.value == pytest.approx(measured.value, rel=0.02)
    assert any(verb in part for part in scale_words.report(found) if isinstance(part, str))
    assert [one.workers for one in found.several] == [2, *scale.PREDICTED[1:]]


def test_an_answer_is_drawn_and_saved(runs):
    """As a picture, and as JSON that holds every turn."""
    times = new_times(1e-3)
    found = scale.answer(times, runs, target=0.95, threads=1)

    drawn = picture.drawn(scale_figure.chart(found), ".png")
    saved = json.loads(scale_command.as_json(times))

    assert drawn.startswith(b"\x89PNG")
    assert len(saved["steps"]) == 22
    assert saved["exchanges"][0]["crews"] == [[pytest.approx(0.99e-3)], [pytest.approx(1.01e-3)]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--workers=1"], "'1' is not a whole number of at least 2"),
        (["--crews=1"], "'1' is not a whole number of at least 2"),
        (["--target-accuracy=0.5"], "steps to test accuracy 0.5 are not known"),
        (["--figure=scale.gif"], "'scale.gif' is no figure"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(words, sentence, capsys):
    """Before a worker is started."""
    try:
        code = bench_main.main(["scale", *words])
    except SystemExit as exit_:
        code = exit_.code

    assert code in {1, 2}
    assert sentence in capsys.readouterr().err


def test_groups_share_the_cores(monkeypatch):
    """Equal cores, and one worker with as few threads as the most workers have each."""
    monkeypatch.setattr("os.cpu_count", lambda: 4)

    assert groups([1, 2, 4]) == ("1x1", "1x4", "2x2", "4x1")
    assert groups([8]) == ("1x1", "8x1")
