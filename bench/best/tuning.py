"""The learning rate that takes the fewest steps at a batch size, on a grid, by racing.

Each rate of the grid is trained with one seed and then, unless it is hopeless, with the others
(Maron and Moore 1994, Hoeffding Races). The grid grows until the best rate for every target lies
inside.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.best.trial import Outcome
from bench.runs.seeds import median_over_seeds

GRID_RATIO = math.sqrt(2)
GRID_START = 0.1  # the question's rate is on the grid
HOPELESS = 1.5  # times the best median of every target: such a rate gets no more seeds
CAP = 2.0  # times the best median to the last target: such a training is stopped,
CAP_OF_SEEDS = 3.0  # and so is one at this many times what the rate's first seed took

# Train seeds at a rate, for at most so many steps; infinite for the whole budget.
Train = Callable[[float, Sequence[int], float], Sequence[Outcome]]


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The medians of a grid search at one batch size."""

    steps: Mapping[float, dict[int, float]]  # target -> place on the grid -> median, or infinity

    def best_rate(self, target: float) -> float:
        """The rate with the fewest median steps; the lower one of two alike."""
        return rate_at(self._best(target))

    def is_interior(self, target: float) -> bool:
        """Whether a lower and a higher rate were tried, and the target was reached."""
        best, medians = self._best(target), self.steps[target]
        return medians[best] < math.inf and {best - 1, best + 1} <= medians.keys()

    def missing(self) -> list[int]:
        """Return the places beside the best of each target that were not tried."""
        places: set[int] = set()
        for target, medians in self.steps.items():
            best = self._best(target)
            if medians[best] < math.inf:  # else no rate is known to be nearer
                places |= {best - 1, best + 1} - medians.keys()
        return sorted(places)

    def _best(self, target: float) -> int:
        medians = self.steps[target]
        return min(sorted(medians), key=medians.__getitem__)


def rate_at(place: int) -> float:
    """The rate at a place of the grid."""
    return GRID_START * GRID_RATIO**place


def tune(train: Train, *, targets: Sequence[float], seeds: Sequence[int], near: float) -> Tuned:
    """Search the grid, from the rates around `near` outwards."""
    start = round(math.log(near / GRID_START, GRID_RATIO))
    tuned = Tuned(steps={target: {} for target in targets})
    wanted = [start, start - 1, start + 1]
    while wanted:
        for place in wanted:
            best = {
                target: min(medians.values(), default=math.inf)
                for target, medians in tuned.steps.items()
            }
            outcomes = _race(train, rate_at(place), seeds, best)
            for target, medians in tuned.steps.items():
                medians[place] = median_over_seeds(each.steps_to(target) for each in outcomes)
        wanted = tuned.missing()
    return tuned


def _race(
    train: Train, rate: float, seeds: Sequence[int], best: Mapping[float, float]
) -> Sequence[Outcome]:
    """Train the first seed, and the others unless it is hopeless beside the best medians."""
    most_steps = CAP * best[max(best)]
    first = train(rate, seeds[:1], most_steps)
    if all(first[0].steps_to(target) > HOPELESS * steps for target, steps in best.items()):
        return first
    last_reached = max((high for _, high in first[0].bounds.values()), default=math.inf)
    return [*first, *train(rate, seeds[1:], min(most_steps, CAP_OF_SEEDS * last_reached))]
