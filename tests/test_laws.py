"""Planted laws are found, intervals keep their promise, and bad input is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from bench.laws import laws
from bench.laws.line import Estimate

LADDER = (1, 4, 16, 64, 128, 256, 512)
SIMULATIONS = 300

# The smallest and the largest are always there: a law cannot be seen in a corner of its range.
ladders = st.sets(st.sampled_from(LADDER)).map(lambda sizes: sorted({1, 8, *sizes, 32, 1024}))
overheads = st.floats(1e-6, 1)
halves = st.floats(2, 500)
scales = st.floats(1e-3, 1e3)
noise = st.lists(st.floats(-0.1, 0.1), min_size=10, max_size=10)


def step_times(sizes, overhead, half, log_noise=()):
    """Seconds of steps that follow t(B) = o (1 + B / B_half), but for the noise."""
    log_noise = [*log_noise, *[0.0] * len(sizes)]
    return {
        size: overhead * (1 + size / half) * math.exp(off)
        for size, off in zip(sizes, log_noise, strict=False)
    }


def target_steps(sizes, smallest, critical, log_noise=()):
    """Steps of one seed that follow S(B) = S_min (1 + B_crit / B), but for the noise."""
    log_noise = [*log_noise, *[0.0] * len(sizes)]
    return {
        size: [smallest * (1 + critical / size) * math.exp(off)]
        for size, off in zip(sizes, log_noise, strict=False)
    }


def values(*estimates):
    """Estimates without their intervals."""
    return [estimate.value for estimate in estimates]


@given(ladders, overheads, halves)
def test_a_planted_step_time_is_recovered(sizes, overhead, half):
    """Without noise, exactly, and without a misfit."""
    law = laws.fit_step_time(step_times(sizes, overhead, half))

    assert values(
        law.overhead_seconds, law.seconds_per_sample, law.half_batch_size
    ) == pytest.approx([overhead, overhead / half, half], rel=1e-4)
    assert law.seconds(100) == pytest.approx(overhead * (1 + 100 / half), rel=1e-4)
    assert law.largest_misfit < 1e-4
    assert law.breaking == ()


@given(ladders, st.floats(10, 1e6), halves)
def test_planted_steps_to_target_are_recovered(sizes, smallest, critical):
    """Without noise, exactly, and without a misfit."""
    law = laws.fit_steps_to_target(target_steps(sizes, smallest, critical))

    assert values(law.smallest_steps, law.critical_batch_size) == pytest.approx(
        [smallest, critical], rel=1e-4
    )
    assert law.steps(100) == pytest.approx(smallest * (1 + critical / 100), rel=1e-4)
    assert law.largest_misfit < 1e-4


@given(ladders, st.floats(10, 1e6), st.floats(-1, 1))
def test_a_planted_slope_is_recovered(sizes, steps, slope):
    """Flat or not."""
    found = laws.slope_of_log_steps({size: [steps * size**slope] for size in sizes})

    assert values(found) == pytest.approx([slope], abs=1e-9)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("spread", [0.05, 0.3], ids="spread={}".format)
@pytest.mark.parametrize("sizes", [LADDER[:5], (*LADDER, 1024)], ids=["5 sizes", "8 sizes"])
def test_intervals_cover_the_truth_as_often_as_they_say(sizes, spread):
    """A seeded simulation; a true 95 % would leave this band once in a thousand."""
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
        found = {
            "o": law.overhead_seconds,
            "c": law.seconds_per_sample,
            "B_half": law.half_batch_size,
            "slope": laws.slope_of_log_steps(powers),
        }
        for name, estimate in found.items():
            covered[name] += estimate.low <= truth[name] <= estimate.high

    fewest, most = stats.binom.ppf([0.0005, 0.9995], SIMULATIONS, 0.95)
    assert all(fewest <= count <= most for count in covered.values()), covered


def test_the_interval_of_the_best_batch_size_covers_it():
    """It combines two intervals, and may be a little wide; it must not be narrow."""
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


@given(ladders, overheads, halves, noise, scales)
def test_the_unit_of_time_scales_costs_and_leaves_the_half_batch_size(
    sizes, overhead, half, log_noise, scale
):
    """Nor do the misfits depend on how fast the machine is."""
    seconds = step_times(sizes, overhead, half, log_noise)

    law = laws.fit_step_time(seconds)
    scaled = laws.fit_step_time({size: scale * seconds[size] for size in sizes})

    assert values(scaled.overhead_seconds, scaled.seconds_per_sample) == pytest.approx(
        [scale * value for value in values(law.overhead_seconds, law.seconds_per_sample)], rel=1e-3
    )
    assert scaled.half_batch_size.value == pytest.approx(law.half_batch_size.value, rel=1e-3)
    assert scaled.misfits == pytest.approx(law.misfits, abs=1e-3)


@given(ladders, overheads, halves, noise)
def test_no_other_parameters_fit_better(sizes, overhead, half, log_noise):
    """Least squares of log residuals, at a minimum of them."""
    seconds = step_times(sizes, overhead, half, log_noise)
    law = laws.fit_step_time(seconds)
    o, c = values(law.overhead_seconds, law.seconds_per_sample)

    def squares(o, c):
        return sum(math.log(seconds[size] / (o + c * size)) ** 2 for size in sizes)

    assert squares(o, c) <= 1e-9 + min(
        squares(o * more, c * other)
        for more in (0.5, 0.99, 1, 1.01, 2)
        for other in (0.5, 0.99, 1, 1.01, 2)
    )


@given(ladders, overheads, halves, noise)
def test_no_batch_size_trains_faster_than_the_best(sizes, overhead, half, log_noise):
    """B* is where a numerical search finds the least S(B) t(B)."""
    step_time = laws.fit_step_time(step_times(sizes, overhead, half, log_noise))
    steps = laws.fit_steps_to_target(target_steps(sizes, 850, 40, log_noise))
    best = laws.best_batch_size(step_time.half_batch_size, steps.critical_batch_size)

    found = optimize.minimize_scalar(
        lambda log_size: math.log(
            step_time.seconds(math.exp(log_size)) * steps.steps(math.exp(log_size))
        ),
        bounds=(math.log(best.value) - 5, math.log(best.value) + 5),
        method="bounded",
    )

    assert math.exp(found.x) == pytest.approx(best.value, rel=0.01)
    assert best.low <= best.value <= best.high


def test_the_best_batch_size_is_unknown_where_one_of_its_sizes_is():
    """Infinite ends stay infinite."""
    critical = laws.fit_steps_to_target(target_steps(LADDER, 850, 40)).critical_batch_size

    best = laws.best_batch_size(Estimate(value=25, low=0, high=math.inf), critical)

    assert best.value == pytest.approx(math.sqrt(25 * 40), rel=1e-4)
    assert (best.low, best.high) == (0, math.inf)


def test_a_size_that_is_far_off_breaks_the_law():
    """And is named, with its misfit."""
    law = laws.fit_step_time(step_times((*LADDER, 1024), 1e-4, 25, [0, 0, 0, 0, 0.7]))

    assert law.breaking == (128,)
    assert law.worst_batch_size == 128
    assert law.largest_misfit == law.misfits[128] > 0.5


def test_step_times_beyond_the_law_are_left_out():
    """By default beyond 1024."""
    seconds = step_times(LADDER, 1e-4, 25)

    law = laws.fit_step_time(seconds | {8192: 100.0})

    assert law == laws.fit_step_time(seconds)
    assert 8192 in laws.fit_step_time(seconds | {8192: 100.0}, largest_batch_size=8192).misfits


@given(noise, st.integers(1025, 60000))
def test_a_censored_size_is_named_and_moves_nothing_else(log_noise, size):
    """It neither joins the fit nor makes any prediction shorter."""
    steps = target_steps(LADDER, 850, 40, log_noise)

    law = laws.fit_steps_to_target(steps)
    with_more = laws.fit_steps_to_target(steps | {size: [100.0, math.inf]})

    assert with_more.censored == (size,)
    assert (with_more.smallest_steps, with_more.misfits) == (law.smallest_steps, law.misfits)
    assert laws.slope_of_log_steps(steps | {size: [math.inf]}) == (laws.slope_of_log_steps(steps))


@given(st.permutations([500.0, 900.0, 1000.0, 1100.0, 2000.0]), st.integers(1, 5))
def test_a_seed_that_misses_the_target_never_lowers_the_median(seeds, misses):
    """Missing counts as infinite; half the seeds or more censor the size."""
    steps = target_steps(LADDER, 850, 40) | {1024: seeds}
    missed = steps | {1024: [*seeds[misses:], *[math.inf] * misses]}

    law, with_misses = map(laws.fit_steps_to_target, (steps, missed))

    assert (1024 in with_misses.censored) == (misses >= 3)
    if misses < 3:
        measured = [one.steps(1024) * (1 + one.misfits[1024]) for one in (law, with_misses)]
        assert measured[1] >= measured[0] * (1 - 1e-9)
