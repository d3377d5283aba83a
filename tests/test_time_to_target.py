"""Time to target from steps and seconds, held to simulated machines whose truth is known."""

import math

import numpy as np
import pytest

from bench.laws import time_to_target

SIZES = (1, 4, 16, 64, 256)
PROCESSES, TURNS, SEEDS = 3, 9, 20
SEED_SPREAD, RUN_SPREAD, PROCESS_SPREAD, TURN_SPREAD = 0.05, 0.1, 0.03, 0.05


def true_steps(size):
    """S_min 800, B_crit 35."""
    return 800 * (1 + 35 / size)


def true_seconds(size):
    """A step of o = 50 us and c = 5 us a sample: the best of the sizes is 16."""
    return 5e-5 + 5e-6 * size


def truth(size):
    """Median time to target."""
    return true_steps(size) * true_seconds(size)


def machine(random, *, process_spread=PROCESS_SPREAD):
    """Runs of a study, and turns of some processes."""
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
    """How often intervals hold what they are for."""
    random = np.random.default_rng(0)
    counts = dict.fromkeys(("time", "best", "runs"), 0)
    spread = math.hypot(SEED_SPREAD, RUN_SPREAD)
    for _ in range(simulations):
        found = time_to_target.combine(*machine(random))
        time = found.seconds[16]
        counts["time"] += time.low <= truth(16) <= time.high
        low, high = found.best_interval
        counts["best"] += low <= 16 <= high
        process = random.normal(0, math.sqrt(2) * PROCESS_SPREAD)
        new = truth(16) * math.exp(process) * np.exp(random.normal(0, spread, 5))
        predicted = found.median_of_runs(16, 5)
        counts["runs"] += predicted.low <= np.median(new) <= predicted.high
    return {name: count / simulations for name, count in counts.items()}


@pytest.mark.parametrize(
    ("simulations", "draws", "least", "most"),
    [(100, 300, 0.88, 1.0), pytest.param(1_000, 2_000, 0.92, 0.98, marks=pytest.mark.slow)],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    monkeypatch, simulations, draws, least, most
):
    """Of the time, of the best batch size, which is one of a few, and of what new runs take."""
    monkeypatch.setattr(time_to_target, "DRAWS", draws)
    shares = covered(simulations)

    assert least <= shares["time"] <= most, shares
    assert shares["best"] >= 0.95, shares
    assert least <= shares["runs"] <= most, shares


def test_the_best_size_and_what_others_cost():
    """Without noise they are the law's."""
    runs = {size: {seed: (0, true_steps(size)) for seed in range(5)} for size in SIZES}
    timed = {size: [[true_seconds(size)] * 3] * PROCESSES for size in SIZES}

    found = time_to_target.combine(runs, timed)

    assert found.best == 16
    assert found.best_interval == (16, 16)
    for size in SIZES:
        assert found.seconds[size].value == pytest.approx(truth(size))
        assert found.ratios[size].value == pytest.approx(truth(size) / truth(16))
        assert found.is_on_plateau(size) == (truth(size) <= 1.1 * truth(16))


def test_a_size_that_most_seeds_miss_takes_for_ever():
    """And is not the best."""
    runs, timed = machine(np.random.default_rng(0))
    runs[16] = dict.fromkeys(runs[16], (5000, math.inf))

    found = time_to_target.combine(runs, timed)

    assert found.seconds[16].value == math.inf
    assert found.best != 16
    assert found.is_on_plateau(16) is False


def test_a_noisy_machine_leaves_the_plateau_open():
    """Where processes differ by half, nothing is known to be within a tenth."""
    found = time_to_target.combine(*machine(np.random.default_rng(0), process_spread=0.5))

    assert {found.is_on_plateau(size) for size in (4, 16, 64)} <= {None, False}
    low, high = found.best_interval
    assert low < high


def test_seconds_per_step_have_an_interval_from_their_processes():
    """More turns of one process do not narrow it."""
    few = time_to_target.seconds_per_step([[1.0] * 3, [1.1] * 3, [1.2] * 3])
    many = time_to_target.seconds_per_step([[1.0] * 300, [1.1] * 300, [1.2] * 300])

    assert few == many
    assert few.value == pytest.approx((1.0 * 1.1 * 1.2) ** (1 / 3))
    assert few.low < 1.0
    assert few.high > 1.2
