"""Time to target from steps and seconds, tested on simulated machines of known truth."""

import math

import numpy as np
import pytest

from bench.laws import time_to_target

SIZES = (1, 4, 16, 64, 256)
PROCESSES, TURNS, SEEDS = 3, 9, 20
SEED_SPREAD, RUN_SPREAD, PROCESS_SPREAD, TURN_SPREAD = 0.05, 0.1, 0.03, 0.05


def true_steps(size):
    """Steps to target with S_min = 800 and B_crit = 35."""
    return 800 * (1 + 35 / size)


def true_seconds(size):
    """Seconds of a step with o = 50 us and c = 5 us per sample; 16 is the best of `SIZES`."""
    return 5e-5 + 5e-6 * size


def truth(size):
    """Median time to target."""
    return true_steps(size) * true_seconds(size)


def machine(random, *, process_spread=PROCESS_SPREAD):
    """Steps of a study's seeds, and turns of processes, all with noise."""
    seeds = random.normal(0, SEED_SPREAD, SEEDS)
    runs = {
        size: {
            seed: (0, true_steps(size) * math.exp(effect + random.normal(0, RUN_SPREAD)))
            for seed, effect in enumerate(seeds)
        }
        for size in SIZES
    }
    common = random.normal(0, process_spread, PROCESSES)
    timed = {
        size: [
            true_seconds(size) * np.exp(shift + random.normal(0, TURN_SPREAD, TURNS))
            for shift in common + random.normal(0, process_spread, PROCESSES)
        ]
        for size in SIZES
    }
    return runs, timed


def covered(simulations):
    """Share of simulations in which each interval holds the truth."""
    random = np.random.default_rng(0)
    counts = dict.fromkeys(("time", "best", "runs"), 0)
    spread = math.hypot(SEED_SPREAD, RUN_SPREAD)
    for _ in range(simulations):
        combined = time_to_target.combine(*machine(random))
        time = combined.seconds[16]
        counts["time"] += time.low <= truth(16) <= time.high
        low, high = combined.best_interval
        counts["best"] += low <= 16 <= high
        process = random.normal(0, math.sqrt(2) * PROCESS_SPREAD)
        new = truth(16) * math.exp(process) * np.exp(random.normal(0, spread, 5))
        predicted = combined.median_of_runs(16, 5)
        counts["runs"] += predicted.low <= np.median(new) <= predicted.high
    return {name: count / simulations for name, count in counts.items()}


@pytest.mark.parametrize(
    ("simulations", "draws", "least", "most"),
    [(100, 300, 0.88, 1.0), pytest.param(1_000, 2_000, 0.92, 0.98, marks=pytest.mark.slow)],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    monkeypatch, simulations, draws, least, most
):
    """Time, best batch size and new runs lie in their intervals about 95 times in 100."""
    monkeypatch.setattr(time_to_target, "DRAWS", draws)
    shares = covered(simulations)

    assert least <= shares["time"] <= most, shares
    assert shares["best"] >= 0.95, shares
    assert least <= shares["runs"] <= most, shares


def test_the_best_size_and_what_others_cost():
    """Without noise, the best size and the cost of other sizes are those of the laws."""
    runs = {size: {seed: (0, true_steps(size)) for seed in range(5)} for size in SIZES}
    timed = {size: [[true_seconds(size)] * 3] * PROCESSES for size in SIZES}

    combined = time_to_target.combine(runs, timed)

    assert combined.best == 16
    assert combined.best_interval == (16, 16)
    for size in SIZES:
        assert combined.seconds[size].value == pytest.approx(truth(size))
        assert combined.ratios[size].value == pytest.approx(truth(size) / truth(16))
        assert combined.is_on_plateau(size) == (truth(size) <= 1.1 * truth(16))


def test_a_size_that_most_seeds_miss_takes_for_ever():
    """If most seeds miss the target at a size, that size is not the best."""
    runs, timed = machine(np.random.default_rng(0))
    runs[16] = dict.fromkeys(runs[16], (5000, math.inf))

    combined = time_to_target.combine(runs, timed)

    assert combined.seconds[16].value == math.inf
    assert combined.best != 16
    assert combined.is_on_plateau(16) is False


def test_a_noisy_machine_leaves_the_plateau_open():
    """If processes differ by half, no size is known to be within a tenth of the best."""
    combined = time_to_target.combine(*machine(np.random.default_rng(0), process_spread=0.5))

    assert {combined.is_on_plateau(size) for size in (4, 16, 64)} <= {None, False}
    low, high = combined.best_interval
    assert low < high


def test_seconds_per_step_have_an_interval_from_their_processes():
    """More turns of the same processes do not narrow the interval."""
    few = time_to_target.seconds_per_step([[1.0] * 3, [1.1] * 3, [1.2] * 3])
    many = time_to_target.seconds_per_step([[1.0] * 300, [1.1] * 300, [1.2] * 300])

    assert few == many
    assert few.value == pytest.approx((1.0 * 1.1 * 1.2) ** (1 / 3))
    assert few.low < 1.0
    assert few.high > 1.2
