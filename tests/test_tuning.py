"""The search for a learning rate."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.best import tuning
from bench.best.trial import Outcome

STEPS = 400  # steps to target at the best rate


class Learner:
    """Trainings with fewest steps at the best place; beyond `reach` of it they miss the target."""

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
    """The search finds the best rate, and has tried both of its neighbours."""
    tuned = tuning.tune(Learner(best, width=width), seeds=range(3), near=near)

    assert tuned.best == best
    assert tuned.is_interior
    assert tuned.steps == STEPS


def test_a_rate_that_one_seed_rules_out_gets_no_more_seeds():
    """A rate that cannot win gets one seed; rates that may win get all seeds."""
    learner = Learner(0, width=2.0)

    tuning.tune(learner, seeds=range(5), near=0)

    seeds_at = Counter(place for place, _ in learner.calls)
    assert seeds_at == {-2: 1, -1: 5, 0: 5, 1: 5, 2: 1}
    assert len(set(learner.calls)) == len(learner.calls), "no training is asked for twice"


def test_where_no_rate_reaches_the_target_the_highest_score_counts():
    """One seed per rate is enough to tell."""
    learner = Learner(2, reach=-1)

    tuned = tuning.tune(learner, seeds=range(3), near=0)

    assert tuned.best == 2
    assert not tuned.is_reached
    assert not tuned.is_interior
    assert {seed for _, seed in learner.calls} == {0}


def test_the_search_ends_where_larger_rates_are_better_without_end():
    """The search ends about a factor of a thousand from its start."""
    tuned = tuning.tune(Learner(1000, width=300.0), seeds=range(3), near=0)

    assert tuning.FARTHEST <= tuned.best <= tuning.FARTHEST + 3


def test_a_fixed_rate_is_only_trained():
    """The fixed rate is trained with every seed, and no other rate is trained."""
    learner = Learner(0)

    tuned = tuning.tune(learner, seeds=range(3), near=5, is_fixed=True)

    assert learner.calls == [(5, 0), (5, 1), (5, 2)]
    assert tuned.best == 5


@pytest.mark.parametrize("diverged", [True, False])
def test_steps_that_ended_without_the_target_bound_it_unless_they_diverged(diverged):
    """A loss that is not finite says nothing of how many steps another rate takes."""
    missed = Outcome(steps=70, below=60, score=0.1, reached=False, diverged=diverged)

    tuned = tuning.Tuned(outcomes={0: {0: missed}})

    assert tuned.fewest_steps == (0 if diverged else 70)
