"""The search for a learning rate."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.best import tuning
from bench.best.trial import Outcome

STEPS = 400  # at the best rate


class Learner:
    """Steps that have a valley around a best place; beyond a width of it no training succeeds."""

    def __init__(self, best, *, width=4.0, reach=math.inf):
        self.best, self.width, self.reach = best, width, reach
        self.calls = []

    def __call__(self, pairs):
        """Train."""
        self.calls += pairs
        return [self.outcome(place) for place, _ in pairs]

    def outcome(self, place):
        """The score falls, and the steps rise, with the square of the distance."""
        distance = (place - self.best) / self.width
        steps = round(STEPS * 2 ** (distance**2))
        is_reached = abs(place - self.best) <= self.reach
        return Outcome(steps=steps, below=steps - 1, score=1 - distance**2, reached=is_reached)


@given(best=st.integers(-12, 12), near=st.integers(-3, 3), width=st.floats(1, 6))
def test_the_best_rate_lies_inside_the_grid_wherever_the_search_starts(best, near, width):
    """Both neighbours were tried."""
    found = tuning.tune(Learner(best, width=width), seeds=range(3), near=near)

    assert found.best == best
    assert found.is_interior
    assert found.steps == STEPS


def test_a_rate_that_one_seed_rules_out_gets_no_more_seeds():
    """It is left after its first one; those that contend get all seeds."""
    learner = Learner(0, width=2.0)

    tuning.tune(learner, seeds=range(5), near=0)

    seeds_at = Counter(place for place, _ in learner.calls)
    assert seeds_at == {-2: 1, -1: 5, 0: 5, 1: 5, 2: 1}
    assert len(set(learner.calls)) == len(learner.calls), "no training is asked for twice"


def test_where_no_rate_reaches_the_target_the_highest_score_counts():
    """One seed each is enough to tell."""
    learner = Learner(2, reach=-1)

    found = tuning.tune(learner, seeds=range(3), near=0)

    assert found.best == 2
    assert not found.is_reached
    assert not found.is_interior
    assert {seed for _, seed in learner.calls} == {0}


def test_the_search_ends_where_larger_rates_are_better_without_end():
    """A factor of a thousand away, or a little more."""
    found = tuning.tune(Learner(1000, width=300.0), seeds=range(3), near=0)

    assert tuning.FARTHEST <= found.best <= tuning.FARTHEST + 3


def test_a_fixed_rate_is_only_trained():
    """With every seed."""
    learner = Learner(0)

    found = tuning.tune(learner, seeds=range(3), near=5, is_fixed=True)

    assert learner.calls == [(5, 0), (5, 1), (5, 2)]
    assert found.best == 5


@pytest.mark.parametrize("diverged", [True, False])
def test_steps_that_ended_without_the_target_bound_it_unless_they_diverged(diverged):
    """A loss that is not finite says nothing of how many steps another rate takes."""
    missed = Outcome(steps=70, below=60, score=0.1, reached=False, diverged=diverged)

    found = tuning.Tuned(outcomes={0: {0: missed}})

    assert found.fewest_steps == (0 if diverged else 70)
