"""The law of steps to target, held to simulated runs whose truth is known."""

import math

import numpy as np
import pytest

from bench.laws import steps_law
from bench.laws.line import LawError

SIZES = (1, 4, 16, 64, 256, 1024)
SMALLEST, CRITICAL = 900, 30
GRID_RATIO = 1.03  # of the evaluations
SIMULATIONS = 1_000


def simulated(rng, *, sizes=SIZES, seeds=10, seed_spread=0.05, run_spread=0.08, cap=math.inf):
    """Bounds of runs whose law is known, evaluated on a grid and censored at a cap."""
    effects = rng.normal(0, seed_spread, seeds)
    runs = {}
    for size in sizes:
        middle = math.log(SMALLEST * (1 + CRITICAL / size))
        places = np.ceil((middle + effects + rng.normal(0, run_spread, seeds)) / math.log(1.03))
        runs[size] = {
            seed: (GRID_RATIO ** (place - 1), GRID_RATIO**place)
            if GRID_RATIO**place <= cap
            else (cap, math.inf)
            for seed, place in enumerate(places)
        }
    return runs


def test_the_truth_is_found_within_the_intervals():
    """And the two spreads are told apart."""
    found = steps_law.fit(simulated(np.random.default_rng(1), seeds=40))

    assert found.smallest_steps.low < SMALLEST < found.smallest_steps.high
    assert found.critical_batch_size.low < CRITICAL < found.critical_batch_size.high
    assert found.smallest_steps.high / found.smallest_steps.low < 1.1
    assert found.seed_spread == pytest.approx(0.05, rel=0.4)
    assert found.run_spread == pytest.approx(0.08, rel=0.2)
    assert found.lack_of_fit > 0.01
    assert all(abs(misfit) < 0.1 for misfit in found.misfits.values())


def test_a_censored_run_counts_as_longer_than_its_cap():
    """To leave it out, or to end it there, would make the law steeper or flatter."""
    cap = SMALLEST * (1 + CRITICAL / 4) * 1.02  # nearly half of the runs at 4 are above it
    runs = simulated(np.random.default_rng(2), sizes=SIZES[1:], seeds=40, cap=cap)
    capped = [seed for seed, (_, high) in runs[4].items() if high == math.inf]

    found = steps_law.fit(runs)

    assert 10 < len(capped) < 30
    assert found.critical_batch_size.low < CRITICAL < found.critical_batch_size.high
    assert found.medians[4] == pytest.approx(found.steps(4), rel=0.05)


def test_a_bend_is_seen():
    """A size that takes half as long again does not fit."""
    runs = simulated(np.random.default_rng(3))
    bent = runs | {
        1024: {seed: (low * 1.5, high * 1.5) for seed, (low, high) in runs[1024].items()}
    }

    assert steps_law.fit(bent).lack_of_fit < 1e-6


def test_a_size_that_no_run_reached_says_nothing():
    """It is left out of the law, and too few sizes are refused."""
    runs = simulated(np.random.default_rng(5), sizes=SIZES[:3])

    with pytest.raises(LawError, match="needs 3 batch sizes that reached the target, and there"):
        steps_law.fit(runs | {4: dict.fromkeys(range(10), (500, math.inf))})


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    """Between 92 and 98 % of 1,000 simulated studies of twenty seeds."""
    rng = np.random.default_rng(6)
    held = np.zeros(2)
    for _ in range(SIMULATIONS):
        found = steps_law.fit(simulated(rng, seeds=20))
        for place, (estimate, truth) in enumerate(
            [(found.smallest_steps, SMALLEST), (found.critical_batch_size, CRITICAL)]
        ):
            held[place] += estimate.low <= truth <= estimate.high

    assert all(0.92 <= share <= 0.98 for share in held / SIMULATIONS), held


@pytest.mark.slow
def test_the_law_is_called_wrong_as_rarely_as_the_p_value_says():
    """Where it holds, in 3 to 8 % of 1,000 simulated studies at 5 %."""
    rng = np.random.default_rng(7)

    values = [steps_law.fit(simulated(rng, seeds=20)).lack_of_fit for _ in range(SIMULATIONS)]

    assert 0.03 <= np.mean(np.array(values) < 0.05) <= 0.08
