"""Measured cases by engine, batch size and seed."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.runs.case import MeasuredCase


def of_verb(
    cases: Iterable[MeasuredCase], verb: str, engine: str | None = None
) -> list[MeasuredCase]:
    """Return the cases of a verb, of one engine or of all, from the smallest batch size up."""
    chosen = [case for case in cases if case.verb == verb and engine in {None, case.engine}]
    return sorted(chosen, key=lambda case: case.batch_size)


def engines(cases: Iterable[MeasuredCase]) -> list[str]:
    """Name the engines in the order in which they ran."""
    return list(dict.fromkeys(case.engine for case in cases))


def step_seconds(cases: Sequence[MeasuredCase], engine: str, verb: str) -> dict[int, float]:
    """Return median seconds of a step by batch size: of "step" cases, or of "epoch" cases.

    The seconds of an epoch, over its steps, hold more than a step: batches are shuffled and
    gathered, and several small steps are one call where that pays.
    """
    timed = of_verb(cases, verb, engine)
    if verb == "step":
        return {case.batch_size: case.seconds for case in timed}
    return {
        case.batch_size: case.seconds / math.ceil(case.samples / case.batch_size)
        for case in timed
        if case.batch_size <= case.samples  # else it is one step of fewer samples
    }


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
        """Samples per step."""
        return self.cases[0].batch_size

    @property
    def seconds(self) -> list[float]:
        """Each seed's time to the target, infinite where it missed the target."""
        return [case.seconds if case.reached else math.inf for case in self.cases]

    @property
    def steps(self) -> list[float]:
        """Each seed's steps to the target, infinite where it missed the target."""
        return [case.steps if case.reached else math.inf for case in self.cases]

    @property
    def median_seconds(self) -> float:
        """Time to the target."""
        return median_over_seeds(self.seconds)

    @property
    def middle(self) -> MeasuredCase:
        """The seed with the median time to the target; those that missed it come last."""
        ordered = sorted(self.cases, key=lambda case: (not case.reached, case.seconds))
        return ordered[len(ordered) // 2]

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
    def missed_score(self) -> float:
        """Median score of the seeds that missed the target; at least one did."""
        return statistics.median(case.test_score for case in self.cases if not case.reached)

    def overlaps(self, other: "Seeds") -> bool:
        """Whether some seed of each took no longer than some seed of the other."""
        return min(self.seconds) <= max(other.seconds) and min(other.seconds) <= max(self.seconds)


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
