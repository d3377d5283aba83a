"""Several seeds of one batch size: what they took to the target, and what counts for all."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.runs.case import MeasuredCase


def median_over_seeds(values: Iterable[float]) -> float:
    """Return the middle value, of an even number the larger of the middle two.

    A seed that missed the target counts as infinite, so half of them missing make the median so.
    """
    return statistics.median_high(values)


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Trainings to the target that differ in their seed alone."""

    cases: Sequence[MeasuredCase]  # at least one

    @property
    def batch_size(self) -> int:
        """Samples a step."""
        return self.cases[0].batch_size

    @property
    def seconds(self) -> list[float]:
        """Each seed's time to the target, infinite where it missed it."""
        return [case.seconds if case.reached else math.inf for case in self.cases]

    @property
    def steps(self) -> list[float]:
        """Each seed's steps to the target, infinite where it missed it."""
        return [case.steps if case.reached else math.inf for case in self.cases]

    @property
    def median_seconds(self) -> float:
        """Time to the target."""
        return median_over_seeds(self.seconds)

    @property
    def median_steps(self) -> float:
        """Steps to the target."""
        return median_over_seeds(self.steps)

    @property
    def reached(self) -> int:
        """How many seeds reached the target."""
        return sum(case.reached for case in self.cases)

    @property
    def is_censored(self) -> bool:
        """Whether half of the seeds or more missed the target."""
        return self.median_seconds == math.inf

    @property
    def diverged(self) -> bool:
        """Whether the loss of a seed was no longer finite."""
        return any(case.diverged for case in self.cases)

    @property
    def missed_accuracy(self) -> float:
        """Median test accuracy of the seeds that missed the target; at least one did."""
        return statistics.median(case.test_accuracy for case in self.cases if not case.reached)

    def overlaps(self, other: "Seeds") -> bool:
        """Whether some seed of each took no longer than some seed of the other."""
        mine, theirs = self.seconds, other.seconds
        return min(mine) <= max(theirs) and min(theirs) <= max(mine)


def by_series(cases: Iterable[MeasuredCase]) -> dict[tuple[str, str], list[Seeds]]:
    """Group trainings to the target by (engine, learning rate rule), then by batch size.

    Series stand in the order in which they ran, batch sizes from the smallest up.
    """
    series: dict[tuple[str, str], dict[int, list[MeasuredCase]]] = {}
    for case in cases:
        if case.verb == "convergence":
            sizes = series.setdefault((case.engine, case.lr_rule), {})
            sizes.setdefault(case.batch_size, []).append(case)
    return {
        key: [Seeds(cases=tuple(sizes[size])) for size in sorted(sizes)]
        for key, sizes in series.items()
    }
