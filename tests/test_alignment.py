"""Two batch sizes beside each other, from processes that are made up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.laws.alignment import compare
from bench.measure.step_time import Subject

SIZES = (96, 127, 128, 129, 255, 256)
ONE, OTHER = (Subject(engine="eager", batch_size=size) for size in (127, 128))
CONTROL = Subject(engine="eager", batch_size=128, copy=1)


def timed(*, factor=1.0, spread=0.005, processes=10, o=2e-5, c=6e-6, seed=0):
    """Turns whose steps take o + c B; those of 127 `factor` as long; processes differ."""
    random = np.random.default_rng(seed)
    subjects = [*(Subject(engine="eager", batch_size=size) for size in SIZES), CONTROL]
    shifts = random.normal(0, 0.1, processes)
    return {
        subject: [
            (o + c * subject.batch_size)
            * (factor if subject == ONE else 1)
            * np.exp(shift + random.normal(0, spread) + random.normal(0, spread, 9))
            for shift in shifts
        ]
        for subject in subjects
    }


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "equal"), (1.01, "equal"), (1.1, "different"), (0.9, "different")]
)
def test_a_planted_difference_is_found_and_none_is_shown_to_be_none(factor, verdict):
    """Whatever a process does to all sizes alike."""
    likeness = compare(timed(factor=factor), ONE, OTHER, margin=0.03)

    assert likeness.verdict == verdict
    assert likeness.low < factor * 1.005
    assert likeness.high > factor * 0.995


def test_what_is_too_noisy_to_tell_is_undecided():
    """Not finding a difference is no sign that there is none."""
    assert compare(timed(spread=0.3), ONE, OTHER, margin=0.03).verdict == "undecided"


def test_what_the_overhead_explains_is_no_difference():
    """96 samples pay a large overhead more often than 128 do."""
    small = Subject(engine="eager", batch_size=96)

    likeness = compare(timed(o=1e-3), small, OTHER, margin=0.03)

    assert likeness.overhead_ratio == pytest.approx((1e-3 / 96 + 6e-6) / (1e-3 / 128 + 6e-6), 0.01)
    assert likeness.verdict == "equal"


def test_more_turns_of_a_process_are_no_more_evidence():
    """Processes are the replicates: each of these has a bias that its turns share."""
    noisy = timed(spread=0.05)
    repeated = {subject: [[*turns] * 100 for turns in of] for subject, of in noisy.items()}

    assert compare(noisy, ONE, OTHER, margin=0.03) == compare(repeated, ONE, OTHER, margin=0.03)


def test_identical_code_is_seldom_called_different():
    """At most once in twenty a side, when the true ratio stands on the margin."""
    called = sum(
        compare(timed(factor=1.03, spread=0.02, seed=seed), ONE, OTHER, margin=0.03).verdict
        != "undecided"
        for seed in range(200)
    )

    assert called / 200 < 0.16  # 5 % a side, and what chance adds in 200 trials


@given(seed=st.integers(0, 1000))
def test_a_control_is_compared_like_any_other(seed):
    """Its ratio is 1 but for noise, and nothing is taken off."""
    likeness = compare(timed(seed=seed, spread=0.001), CONTROL, OTHER, margin=0.03)

    assert likeness.overhead_ratio == 1
    assert likeness.ratio == pytest.approx(1, abs=0.003)
