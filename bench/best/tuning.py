"""The learning rate that takes the fewest steps at a batch size, on a grid, by racing.

Each rate of the grid is run with one seed and then, unless it is hopeless, with the others (Maron
and Moore 1994, Hoeffding Races). The grid grows until the best rate for every target lies inside.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.best.trial import Outcome
from bench.runs.seeds import median_over_seeds

GRID_RATIO = math.sqrt(2)
GRID_START = 0.1  # the question's rate is on the grid
HOPELESS = 1.5  # times the best median of every target: such a rate gets no more seeds
CAP = 2.0  # times the best median to the last target: such a run is stopped,
CAP_OF_SEEDS = 3.0  # and so is one at this many times what the rate's first seed took

# Run seeds at a rate, for so many steps at the most; infinite for the whole budget.
Measure = Callable[[float, Sequence[int], float], Sequence[Outcome]]


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What the grid search at a batch size found."""

    steps: Mapping[float, Mapping[float, float]]  # target -> rate -> median steps, or infinity

    def best_rate(self, target: float) -> float:
        """The rate with the fewest median steps; the lower one of two alike."""
        found = self.steps[target]
        return min(sorted(found), key=lambda rate: found[rate])

    def is_interior(self, target: float) -> bool:
        """Whether a lower and a higher rate were tried, and the target was reached."""
        rates, best = sorted(self.steps[target]), self.best_rate(target)
        return rates[0] < best < rates[-1] and self.steps[target][best] < math.inf


def rate_at(exponent: int) -> float:
    """The rate at a place of the grid."""
    return GRID_START * GRID_RATIO**exponent


def exponent_of(rate: float) -> int:
    """The place of the grid that is nearest to a rate."""
    return round(math.log(rate / GRID_START, GRID_RATIO))


def tune(measure: Measure, *, targets: Sequence[float], seeds: Sequence[int], near: float) -> Tuned:
    """Search the grid, from the rates around `near` outwards."""
    start = exponent_of(near)
    found: dict[int, Sequence[Outcome]] = {}
    wanted = [start, start - 1, start + 1]
    while wanted:
        for exponent in wanted:
            found[exponent] = _race(measure, rate_at(exponent), seeds, targets, found)
        wanted = _beside_the_best(found, targets)
    return Tuned(
        steps={
            target: {rate_at(place): _median(runs, target) for place, runs in found.items()}
            for target in targets
        }
    )


def _race(
    measure: Measure,
    rate: float,
    seeds: Sequence[int],
    targets: Sequence[float],
    found: Mapping[int, Sequence[Outcome]],
) -> Sequence[Outcome]:
    """Run the first seed, and the others unless it is hopeless."""
    best = {target: _best_median(found, target) for target in targets}
    most_steps = CAP * best[targets[-1]]
    first = measure(rate, seeds[:1], most_steps)
    if all(first[0].steps_to(target) > HOPELESS * best[target] for target in targets):
        return first
    last_reached = max((high for _, high in first[0].bounds.values()), default=math.inf)
    return [*first, *measure(rate, seeds[1:], min(most_steps, CAP_OF_SEEDS * last_reached))]


def _beside_the_best(found: Mapping[int, Sequence[Outcome]], targets: Sequence[float]) -> list[int]:
    """Return the places that are missing beside the best of each target."""
    places = set()
    for target in targets:
        best = min(sorted(found), key=lambda place: _median(found[place], target))
        if _median(found[best], target) < math.inf:  # else no rate is known to be nearer
            places |= {best - 1, best + 1}
    return sorted(places - set(found))


def _best_median(found: Mapping[int, Sequence[Outcome]], target: float) -> float:
    return min((_median(runs, target) for runs in found.values()), default=math.inf)


def _median(runs: Sequence[Outcome], target: float) -> float:
    return median_over_seeds(run.steps_to(target) for run in runs)
