import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.best import tuning
from bench.best.trial import Outcome

TARGETS = (0.9, 0.95)
BASE = {0.9: 400, 0.95: 950}  # steps at the best rate


class Learner:
    """Steps that have a valley around a best rate for each target."""

    def __init__(self, *, best, width=1.0, unreachable=()):
        self.best, self.width, self.unreachable = best, width, unreachable
        self.calls = []

    def steps(self, rate, target):
        """As many as the square of the distance to the best rate adds."""
        distance = math.log2(rate / self.best[target]) / self.width
        return round(BASE[target] * 2 ** (distance**2))

    def __call__(self, rate, seeds, most_steps):
        """Measure."""
        self.calls.append((rate, tuple(seeds), most_steps))
        reached = {
            target: (self.steps(rate, target) - 1, self.steps(rate, target))
            for target in self.best
            if target not in self.unreachable and self.steps(rate, target) <= most_steps
        }
        return [Outcome(bounds=reached, steps=10**6) for _ in seeds]


@given(place=st.integers(-8, 12), apart=st.integers(-1, 1), near=st.floats(0.01, 10))
def test_the_best_rate_of_each_target_lies_inside_the_grid(place, apart, near):
    """Wherever the search starts, and where the targets' best rates differ."""
    best = {0.9: tuning.rate_at(place), 0.95: tuning.rate_at(place + apart)}

    found = tuning.tune(Learner(best=best), targets=TARGETS, seeds=range(5), near=near)

    for target in TARGETS:
        assert found.best_rate(target) == pytest.approx(best[target])
        assert found.is_interior(target)


def test_a_hopeless_rate_gets_no_more_seeds():
    """It is left after its first one."""
    learner = Learner(best=dict.fromkeys(TARGETS, 0.4), width=0.4)

    tuning.tune(learner, targets=TARGETS, seeds=range(5), near=0.4)

    seeds_at = {}
    for rate, seeds, _ in learner.calls:
        seeds_at[round(rate, 3)] = seeds_at.get(round(rate, 3), 0) + len(seeds)
    assert seeds_at == {0.4: 5, 0.283: 1, 0.566: 1}


def test_a_run_that_is_too_slow_is_stopped():
    """At twice the best median to the last target, or three times the rate's first seed."""
    learner = Learner(best=dict.fromkeys(TARGETS, 0.4))

    tuning.tune(learner, targets=TARGETS, seeds=range(5), near=0.4)

    assert learner.calls[0][2] == math.inf
    assert learner.calls[1][2] == 3 * 950
    assert {most_steps for _, _, most_steps in learner.calls[2:]} == {2 * 950}


def test_a_target_that_no_rate_reaches_ends_the_search():
    """It has no best rate inside the grid."""
    learner = Learner(best=dict.fromkeys(TARGETS, 0.4), unreachable=TARGETS[1:])

    found = tuning.tune(learner, targets=TARGETS, seeds=range(5), near=0.1)

    assert found.is_interior(0.9)
    assert not found.is_interior(0.95)
