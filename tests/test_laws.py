"""Fits find known laws, intervals cover the truth as promised, and bad input is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.laws import laws
from bench.laws.laws import Estimate, LawError

LADDER = (1, 4, 16, 64, 128, 256, 512)
SIMULATIONS = 300

# 1 and 1024 are in every ladder: a law cannot be fitted on a small part of its range.
ladders = st.sets(st.sampled_from(LADDER)).map(lambda sizes: sorted({1, 8, *sizes, 32, 1024}))
overheads = st.floats(1e-6, 1)
halves = st.floats(2, 500)
noise = st.lists(st.floats(-0.1, 0.1), min_size=len(LADDER), max_size=len(LADDER))


def step_times(sizes, overhead, half, log_noise=0.0):
    """Seconds of steps that follow t(B) = o (1 + B / B_half), with noise."""
    times = overhead * (1 + np.array(sizes) / half) * np.exp(log_noise)
    return dict(zip(sizes, times.tolist(), strict=True))


def target_steps(sizes, smallest, critical, log_noise=0.0):
    """Steps of one seed that follow S(B) = S_min (1 + B_crit / B), with noise."""
    steps = smallest * (1 + critical / np.array(sizes)) * np.exp(log_noise)
    return {size: [number] for size, number in zip(sizes, steps.tolist(), strict=True)}


def values(*estimates):
    """Estimates without their intervals."""
    return [estimate.value for estimate in estimates]


@given(ladders, overheads, halves)
def test_a_planted_step_time_is_recovered(sizes, overhead, half):
    """Without noise, the fit is exact and has no misfit."""
    law = laws.fit_step_time(step_times(sizes, overhead, half))

    assert values(
        law.overhead_seconds, law.seconds_per_sample, law.half_batch_size
    ) == pytest.approx([overhead, overhead / half, half], rel=1e-4)
    assert law.seconds(100) == pytest.approx(overhead * (1 + 100 / half), rel=1e-4)
    assert law.largest_misfit < 1e-4


@given(ladders, st.floats(10, 1e6), halves)
def test_planted_steps_to_target_are_recovered(sizes, smallest, critical):
    """Without noise, the fit is exact and has no misfit."""
    law = laws.fit_steps_to_target(target_steps(sizes, smallest, critical))

    assert values(law.smallest_steps, law.critical_batch_size) == pytest.approx(
        [smallest, critical], rel=1e-4
    )
    assert law.steps(100) == pytest.approx(smallest * (1 + critical / 100), rel=1e-4)
    assert law.largest_misfit < 1e-4


@given(ladders, st.floats(10, 1e6), st.floats(-1, 1))
def test_a_planted_slope_is_recovered(sizes, steps, slope):
    """Without noise, the slope is exact, flat or not, and lies in its interval."""
    fitted = laws.slope_of_log_steps({size: [steps * size**slope] for size in sizes})

    assert fitted.value == pytest.approx(slope, abs=1e-9)
    assert fitted.low <= fitted.value <= fitted.high


@pytest.mark.parametrize("spread", [0.05, 0.3], ids="spread={}".format)
@pytest.mark.parametrize("sizes", [LADDER[:5], (*LADDER, 1024)], ids=["5 sizes", "8 sizes"])
def test_intervals_cover_the_truth_as_often_as_they_say(sizes, spread):
    """A true coverage of 95 % leaves the band of this simulation once in a thousand."""
    rng = np.random.default_rng(0)
    truth = {"o": 1e-4, "c": 4e-6, "B_half": 25, "slope": -0.3}
    covered = dict.fromkeys(truth, 0)
    for _ in range(SIMULATIONS):
        log_noise = rng.normal(0, spread, len(sizes))
        law = laws.fit_step_time(step_times(sizes, 1e-4, 25, log_noise))
        powers = {
            size: [1e4 * size**-0.3 * math.exp(off)]
            for size, off in zip(sizes, log_noise, strict=True)
        }
        estimates = {
            "o": law.overhead_seconds,
            "c": law.seconds_per_sample,
            "B_half": law.half_batch_size,
            "slope": laws.slope_of_log_steps(powers),
        }
        for name, estimate in estimates.items():
            covered[name] += estimate.low <= truth[name] <= estimate.high

    fewest, most = stats.binom.ppf([0.0005, 0.9995], SIMULATIONS, 0.95)
    assert all(fewest <= count <= most for count in covered.values()), covered


def test_the_interval_of_the_best_batch_size_covers_it():
    """The interval of the best size may be a little wide, but must not be narrow."""
    rng = np.random.default_rng(0)
    sizes = (*LADDER, 1024)
    covered = 0
    for _ in range(SIMULATIONS):
        step_time = laws.fit_step_time(step_times(sizes, 1e-4, 25, rng.normal(0, 0.1, len(sizes))))
        steps = laws.fit_steps_to_target(
            target_steps(sizes, 850, 40, rng.normal(0, 0.2, len(sizes)))
        )
        best = laws.best_batch_size(step_time.half_batch_size, steps.critical_batch_size)
        covered += best.low <= math.sqrt(25 * 40) <= best.high

    assert covered >= stats.binom.ppf(0.0005, SIMULATIONS, 0.95)


def test_the_best_batch_size_is_unknown_where_one_of_its_sizes_is():
    """An infinite end of B_half's interval makes that of the best size infinite."""
    critical = laws.fit_steps_to_target(target_steps(LADDER, 850, 40)).critical_batch_size

    best = laws.best_batch_size(Estimate(value=25, low=0, high=math.inf), critical)

    assert best.value == pytest.approx(math.sqrt(25 * 40), rel=1e-4)
    assert (best.low, best.high) == (0, math.inf)


def test_a_size_that_is_far_off_is_named():
    """The fit names the worst batch size and its misfit."""
    law = laws.fit_step_time(step_times((*LADDER, 1024), 1e-4, 25, [0, 0, 0, 0, 0.7, 0, 0, 0]))

    assert law.worst_batch_size == 128
    assert law.largest_misfit == law.misfits[128] > 0.5


def test_step_times_beyond_the_law_are_left_out():
    """Sizes beyond 1024, where caches overflow, are not fitted."""
    seconds = step_times(LADDER, 1e-4, 25)

    assert laws.fit_step_time(seconds | {8192: 100.0}) == laws.fit_step_time(seconds)


@given(noise, st.integers(1025, 60000))
def test_a_censored_size_is_named_and_moves_nothing_else(log_noise, size):
    """A censored size joins neither the fit nor the slope."""
    steps = target_steps(LADDER, 850, 40, log_noise)

    law = laws.fit_steps_to_target(steps)
    with_more_steps = steps | {size: [100.0, math.inf]}
    with_more = laws.fit_steps_to_target(with_more_steps)

    assert laws.censored(with_more_steps) == (size,)
    assert (with_more.smallest_steps, with_more.misfits) == (law.smallest_steps, law.misfits)
    assert laws.slope_of_log_steps(steps | {size: [math.inf]}) == (laws.slope_of_log_steps(steps))


@given(st.permutations([500.0, 900.0, 1000.0, 1100.0, 2000.0]), st.integers(1, 5))
def test_a_seed_that_misses_the_target_never_lowers_the_median(seeds, misses):
    """A miss counts as infinite steps; misses of half the seeds or more censor the size."""
    steps = target_steps(LADDER, 850, 40) | {1024: seeds}
    missed = steps | {1024: [*seeds[misses:], *[math.inf] * misses]}

    law, with_misses = map(laws.fit_steps_to_target, (steps, missed))

    assert (1024 in laws.censored(missed)) == (misses >= 3)
    if misses < 3:
        measured = [fit.steps(1024) * (1 + fit.misfits[1024]) for fit in (law, with_misses)]
        assert measured[1] >= measured[0] * (1 - 1e-9)


@pytest.mark.parametrize("fit", [laws.fit_steps_to_target, laws.slope_of_log_steps])
@pytest.mark.parametrize(
    ("steps", "size"),
    [
        ({1: [9.0], 2: [], 4: [5.0]}, 2),
        ({1: [9.0], 2: [0.0, 6.0], 4: [5.0]}, 2),
        ({1: [9.0], 2: [math.nan], 4: [5.0]}, 2),
        ({0: [9.0], 2: [6.0], 4: [5.0]}, 0),
    ],
)
def test_what_is_no_number_of_steps_is_refused(fit, steps, size):
    """The error for a wrong number of steps names its batch size."""
    with pytest.raises(LawError, match=f"at batch size {size} are no steps"):
        fit(steps)


@pytest.mark.parametrize(
    ("fit", "measured", "sentence"),
    [
        (
            laws.fit_step_time,
            {1: 1.0, 2: 2.0, 8192: 9.0},
            "3 batch sizes up to 1024 whose steps .* 2",
        ),
        (laws.fit_step_time, {1: 1.0, 2: 0.0, 3: 2.0}, "0.0 s at batch size 2 is not a step time"),
        (laws.fit_step_time, {1: 1.0, 2: math.nan, 3: 2.0}, "nan s at batch size 2"),
        (laws.fit_step_time, {0: 1.0, 2: 1.0, 3: 2.0}, "at batch size 0"),
        (laws.fit_step_time, {1: 1.0, 2: 1.0, 4: 1.0}, "does not grow"),
        (laws.fit_step_time, {1: 1.0, 2: 2.0, 4: 4.0}, "no overhead"),
        (laws.fit_steps_to_target, {}, "and there are 0"),
        (laws.fit_steps_to_target, {1: [9], 2: [6], 4: [math.inf]}, "the target, and there are 2"),
        (laws.fit_steps_to_target, {1: [5.0], 2: [5.0], 4: [5.0]}, "do not fall"),
        (laws.fit_steps_to_target, {1: [8.0], 2: [4.0], 4: [2.0]}, "no smallest number"),
        (laws.slope_of_log_steps, {}, "reached the target to tell: 0 of 0, and 4 are needed"),
        (laws.slope_of_log_steps, {1: [9], 2: [9], 4: [9], 8: [math.inf]}, "3 of 4, and 4 are"),
        (laws.fit_memory, {1: 1e6, 2: 2e6}, "whose memory was measured, and there are 2"),
        (laws.fit_memory, {1: 5e6, 64: 5e6, 1024: 5e6}, "does not measurably grow"),
        (laws.fit_memory, {1: 5e6, 64: 4e6, 1024: 3e6}, "does not measurably grow"),
        (laws.fit_memory, {64: 15.9e6, 96: 11.3e6, 128: 12.5e6, 256: 14.3e6}, "not measurably"),
    ],
)
def test_where_there_is_no_law_the_reason_is_given(fit, measured, sentence):
    """No law is fitted to too few sizes, impossible values, or a trend within the noise."""
    with pytest.raises(LawError, match=sentence):
        fit(measured)


@given(ladders, st.floats(0, 1e8), st.floats(1, 1e5), st.integers(1, 10**6))
def test_the_largest_batch_fits_and_one_more_sample_does_not(
    sizes, at_zero, per_sample, batch_size
):
    """The law gives B for memory that holds B samples and a half."""
    use = laws.fit_memory({size: at_zero + per_sample * size for size in sizes})
    physical = use.bytes_at_zero + use.bytes_per_sample * (batch_size + 0.5)

    assert use.bytes_per_sample == pytest.approx(per_sample, rel=1e-3)
    assert use.largest_batch(physical) == batch_size
    assert use.largest_batch(-1e9) == 0
