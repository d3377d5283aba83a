"""What no law can be fitted to is refused with the reason."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.laws import laws
from bench.laws.line import LawError
from tests.test_laws import ladders


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        ({}, "and there are 0"),
        ({1: 1.0, 2: 2.0, 8192: 9.0}, "3 batch sizes up to 1024 whose steps were timed, and .* 2"),
        ({1: 1.0, 2: 0.0, 3: 2.0}, "0.0 s at batch size 2 is no step time"),
        ({1: 1.0, 2: -1.0, 3: 2.0}, "-1.0 s at batch size 2"),
        ({1: 1.0, 2: math.nan, 3: 2.0}, "nan s at batch size 2"),
        ({1: 1.0, 2: math.inf, 3: 2.0}, "inf s at batch size 2"),
        ({0: 1.0, 2: 1.0, 3: 2.0}, "at batch size 0"),
        ({1: 1.0, 2: 1.0, 4: 1.0}, "does not grow"),
        ({1: 3.0, 2: 2.0, 4: 1.0}, "does not grow"),
        ({1: 1.0, 2: 2.0, 4: 4.0}, "no overhead"),
        ({1: 1.0, 2: 4.0, 4: 16.0}, "no overhead"),
    ],
)
def test_step_times_without_a_law_are_refused(seconds, sentence):
    """With the reason, in place of a fit."""
    with pytest.raises(LawError, match=sentence):
        laws.fit_step_time(seconds)


NO_STEPS = [
    ({1: [9.0], 2: [], 4: [5.0]}, r"\[\] at batch size 2 are no steps"),
    ({1: [9.0], 2: [0.0, 6.0], 4: [5.0]}, "at batch size 2 are no steps"),
    ({1: [9.0], 2: [math.nan], 4: [5.0]}, "at batch size 2 are no steps"),
    ({0: [9.0], 2: [6.0], 4: [5.0]}, "at batch size 0 are no steps"),
]


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        *NO_STEPS,
        ({}, "and there are 0"),
        ({1: [9.0], 2: [6.0], 4: [math.inf]}, "that reached the target, and there are 2"),
        ({1: [5.0], 2: [5.0], 4: [5.0]}, "do not fall"),
        ({1: [5.0], 2: [6.0], 4: [7.0]}, "do not fall"),
        ({1: [8.0], 2: [4.0], 4: [2.0]}, "no smallest number"),
        ({1: [64.0], 2: [16.0], 4: [4.0]}, "no smallest number"),
    ],
)
def test_steps_to_target_without_a_law_are_refused(steps, sentence):
    """With the reason, in place of a fit."""
    with pytest.raises(LawError, match=sentence):
        laws.fit_steps_to_target(steps)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        *NO_STEPS,
        ({}, "too few batch sizes reached the target to tell: 0 of 0, and 4 are needed"),
        ({1: [9.0], 2: [9.0], 4: [9.0], 8: [math.inf]}, "3 of 4, and 4 are needed"),
    ],
)
def test_steps_to_target_without_a_slope_are_refused(steps, sentence):
    """A slope may be flat, but needs more batch sizes than a line does."""
    with pytest.raises(LawError, match=sentence):
        laws.slope_of_log_steps(steps)


@given(ladders, st.floats(0, 1e8), st.floats(1, 1e5), st.integers(1, 10**6))
def test_the_largest_batch_fits_and_one_more_sample_does_not(
    sizes, at_zero, per_sample, batch_size
):
    """In as much memory as a batch size of that many takes."""
    use = laws.fit_memory({size: at_zero + per_sample * size for size in sizes})
    physical = use.bytes_at_zero + use.bytes_per_sample * (batch_size + 0.5)

    assert use.bytes_per_sample == pytest.approx(per_sample, rel=1e-3)
    assert use.largest_batch(physical) == batch_size
    assert use.largest_batch(-1e9) == 0


@pytest.mark.parametrize(
    ("peaks", "sentence"),
    [
        ({1: 1e6, 2: 2e6}, "whose memory was measured, and there are 2"),
        ({1: 5e6, 64: 5e6, 1024: 5e6}, "does not measurably grow"),
        ({1: 5e6, 64: 4e6, 1024: 3e6}, "does not measurably grow"),
        ({64: 15.9e6, 96: 11.3e6, 128: 12.5e6, 256: 14.3e6}, "does not measurably grow"),
    ],
)
def test_memory_that_does_not_grow_gives_no_largest_batch(peaks, sentence):
    """Nor does growth that noise explains."""
    with pytest.raises(LawError, match=sentence):
        laws.fit_memory(peaks)
