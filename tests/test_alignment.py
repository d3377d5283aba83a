"""Comparisons of two batch sizes, from the times of made-up processes."""

import numpy as np
import pytest

from bench.laws import alignment
from bench.laws.alignment import compare
from bench.measure.step_time import Subject

PAIRS = ((128, 128), (127, 128), (96, 128), (255, 256))


def timed(*, factor=1.0, control=1.0, spread=0.005, processes=10, o=2e-5, c=6e-6, seed=0):
    """Turns of steps that take o + c B, at 127 times `factor`; each process has its own speed."""
    random = np.random.default_rng(seed)
    shifts = random.normal(0, 0.1, processes)
    factors = {Subject(engine="eager", batch_size=127): factor}
    factors[Subject(engine="eager", batch_size=128, copy=1)] = control
    return {
        subject: [
            (o + c * subject.batch_size)
            * factors.get(subject, 1.0)
            * np.exp(shift + random.normal(0, spread) + random.normal(0, spread, 9))
            for shift in shifts
        ]
        for subject in alignment.subjects("eager", PAIRS, 60_000)
    }


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "equal"), (1.01, "equal"), (1.1, "different"), (0.9, "different")]
)
def test_a_difference_of_a_tenth_is_different_and_of_a_hundredth_is_equal(factor, verdict):
    """A process that is slower at all sizes does not change the verdict."""
    likeness = compare(timed(factor=factor), 127, 128)

    assert likeness.verdict == verdict
    assert likeness.low < factor * 1.005
    assert likeness.high > factor * 0.995


def test_what_is_too_noisy_to_tell_is_undecided():
    """A size that is too noisy is neither equal nor different."""
    noisy = timed()
    subject, random = Subject(engine="eager", batch_size=127), np.random.default_rng(1)
    noisy[subject] = [turns * np.exp(random.normal(0, 0.3)) for turns in noisy[subject]]

    assert compare(noisy, 127, 128).verdict == "undecided"


@pytest.mark.parametrize("control", [1.02, 0.98, 1.5])
def test_nothing_is_judged_where_a_size_is_not_equal_to_itself(control):
    """If the control is off by more than 1 %, no comparison is trusted."""
    doubtful = timed(factor=1.1, control=control)

    for size, beside in PAIRS:
        assert compare(doubtful, size, beside).verdict == "control failed"


def test_nothing_is_judged_without_a_law_of_the_overhead():
    """Without the law, a size that pays its overhead more often would look slower."""
    flat = timed(c=0.0, spread=0.001)
    control = compare(flat, 128, 128)

    assert compare(flat, 96, 128).verdict == "no overhead law"
    assert control.verdict == "equal"
    assert control.overhead_ratio == 1
    assert control.ratio == pytest.approx(1, abs=0.003)


def test_what_is_timed_does_not_depend_on_the_pairs_that_are_judged():
    """The control and the sizes that the overhead law needs are always timed."""
    few, many = (alignment.subjects("native", pairs, 60_000) for pairs in (((96, 128),), PAIRS))

    assert {subject.batch_size for subject in few} == {4, 16, 64, 96, 128}
    assert set(few) < set(many)
    assert [subject.batch_size for subject in few if subject.copy] == [128]


def test_what_the_overhead_explains_is_no_difference():
    """Batches of 96 pay a large overhead more often than batches of 128, and are equal."""
    likeness = compare(timed(o=1e-3), 96, 128)

    assert likeness.overhead_ratio == pytest.approx((1e-3 / 96 + 6e-6) / (1e-3 / 128 + 6e-6), 0.01)
    assert likeness.verdict == "equal"


def test_more_turns_of_a_process_are_no_more_evidence():
    """Only processes are independent: all turns of a process share its bias."""
    noisy = timed(spread=0.02)
    repeated = {subject: [[*turns] * 100 for turns in of] for subject, of in noisy.items()}

    assert compare(noisy, 127, 128) == compare(repeated, 127, 128)


def test_a_ratio_on_the_margin_is_seldom_judged():
    """With a true ratio at the margin, each wrong verdict has a chance of at most 5 %."""
    judged = sum(
        compare(timed(factor=1.03, spread=0.02, seed=seed), 127, 128).verdict
        in {"equal", "different"}
        for seed in range(200)
    )

    assert judged / 200 < 0.16  # 5 % per side, and what chance adds in 200 trials
