"""The learning rate that takes the fewest steps at a batch size, on a grid, by racing.

Rates a factor of 2 apart are tried outwards until the best has a worse rate on each side, then the
rates next to it, a factor of sqrt(2) apart. Rates that one seed does not rule out get the other
seeds (Maron and Moore 1994, Hoeffding Races).
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.best.trial import Outcome
from bench.runs.seeds import median_over_seeds

GRID_RATIO = math.sqrt(2)
COARSE = 2  # places of the grid, a factor of 2
FARTHEST = 20  # places from the first place: a factor of a thousand
CONTENDS = 1.3  # rates up to this multiple of one seed's fewest steps get the other seeds

Outcomes = dict[int, dict[int, Outcome]]  # place on the grid -> seed -> outcome
# Trains pairs of a place on the grid and a seed, and returns their outcomes.
Train = Callable[[Sequence[tuple[int, int]]], Sequence[Outcome]]


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The outcomes of a grid search at one batch size."""

    outcomes: Outcomes

    @property
    def ranked(self) -> list[int]:
        """The places with the most seeds, from the fewest steps up.

        Places that missed the target come last, from the highest score down.
        """
        most = max(len(seeds) for seeds in self.outcomes.values())
        places = [place for place, seeds in self.outcomes.items() if len(seeds) == most]
        return sorted(places, key=self._rank)

    @property
    def best(self) -> int:
        """The place with the fewest steps."""
        return self.ranked[0]

    @property
    def steps(self) -> float:
        """Median steps to the target at the best place; infinite if it was not reached."""
        return self.steps_at(self.best)

    @property
    def is_reached(self) -> bool:
        """Whether the target was reached at the best place."""
        return self.steps < math.inf

    @property
    def fewest_steps(self) -> int:
        """The fewest steps of a training that did not diverge; 0 if all diverged."""
        trained = [outcome for seeds in self.outcomes.values() for outcome in seeds.values()]
        return min((each.steps for each in trained if not each.diverged), default=0)

    @property
    def is_interior(self) -> bool:
        """Whether the best place reached the target, and both rates next to it were tried."""
        return self.steps < math.inf and {self.best - 1, self.best + 1} <= self.outcomes.keys()

    @property
    def best_score(self) -> float:
        """The highest score that a training ended with."""
        return max(each.score for seeds in self.outcomes.values() for each in seeds.values())

    def steps_at(self, place: int) -> float:
        """Return median steps to the target at a place."""
        return median_over_seeds(each.steps_to_target for each in self.outcomes[place].values())

    def _rank(self, place: int) -> tuple[float, float]:
        return self.steps_at(place), -max(e.score for e in self.outcomes[place].values())


def tune(train: Train, *, seeds: Sequence[int], near: int, is_fixed: bool = False) -> Tuned:
    """Search the grid from the place `near` outwards; a fixed rate is only trained."""
    outcomes: Outcomes = {}

    def add(pairs: Sequence[tuple[int, int]]) -> None:
        for (place, seed), outcome in zip(pairs, train(pairs), strict=True):
            outcomes.setdefault(place, {})[seed] = outcome

    if is_fixed:
        add([(near, seed) for seed in seeds])
        return Tuned(outcomes=outcomes)
    wanted = [near, near + COARSE, near - COARSE]
    for apart in (COARSE, 1):
        while wanted := [place for place in wanted if place not in outcomes]:
            add([(place, seeds[0]) for place in wanted])
            wanted = _beside(outcomes, near, apart)
        wanted = _beside(outcomes, near, 1)
    while contenders := _contenders(outcomes, seeds):
        add(contenders)
        add([(place, seeds[0]) for place in _beside(outcomes, near, 1) if place not in outcomes])
    return Tuned(outcomes=outcomes)


def _beside(outcomes: Outcomes, near: int, apart: int) -> list[int]:
    """Return the places next to the best, unless the best is very far from the start."""
    best = Tuned(outcomes=outcomes).best
    return [best + apart, best - apart] if abs(best - near) < FARTHEST else []


def _contenders(outcomes: Outcomes, seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Return the trainings that are missing at places that one seed does not rule out."""
    first = {place: tried[seeds[0]].steps_to_target for place, tried in outcomes.items()}
    most = min(CONTENDS * min(first.values()), sys.float_info.max)
    return [
        (place, seed)
        for seed in seeds[1:]
        for place, steps in sorted(first.items())
        if steps <= most and seed not in outcomes[place]
    ]
