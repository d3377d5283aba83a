"""Measured cases by engine, batch size and seed."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.runs.case import MeasuredCase


def of_verb(
    cases: Iterable[MeasuredCase], verb: str, engine: str | None = None
) -> list[MeasuredCase]:
    """Return the cases of a verb, of all engines or the given one, sorted by batch size."""
    chosen = [case for case in cases if case.verb == verb and engine in {None, case.engine}]
    return sorted(chosen, key=lambda case: case.batch_size)


def engines(cases: Iterable[MeasuredCase]) -> list[str]:
    """Name the engines in the order in which they ran."""
    return list(dict.fromkeys(case.engine for case in cases))


def step_seconds(cases: Sequence[MeasuredCase], engine: str, verb: str) -> dict[int, float]:
    """Return median seconds per step by batch size, from "step" cases or from "epoch" cases.

    An epoch's seconds per step contain more than a step: samples are shuffled and gathered, and
    several small steps may be combined in one call.
    """
    timed = of_verb(cases, verb, engine)
    if verb == "step":
        return {case.batch_size: case.seconds for case in timed}
    return {
        case.batch_size: case.seconds / math.ceil(case.samples / case.batch_size)
        for case in timed
        if case.batch_size <= case.samples  # a larger size makes one step of fewer samples
    }


def median_over_seeds(values: Iterable[float]) -> float:
    """Return the median; of an even number of values, the larger of the middle two.

    A seed that missed the target counts as infinite. If half the seeds did, so is the median.
    """
    return statistics.median_high(values)


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Trainings to the target that differ only in their seed."""

    cases: Sequence[MeasuredCase]  # never empty

    @property
    def batch_size(self) -> int:
        """Samples per step."""
        return self.cases[0].batch_size

    @property
    def seconds(self) -> list[float]:
        """Each seed's time to the target, infinite if it missed the target."""
        return [case.seconds if case.reached else math.inf for case in self.cases]

    @property
    def steps(self) -> list[float]:
        """Each seed's steps to the target, infinite if it missed the target."""
        return [case.steps if case.reached else math.inf for case in self.cases]

    @property
    def median_seconds(self) -> float:
        """Median time to the target, infinite if half of the seeds or more missed it."""
        return median_over_seeds(self.seconds)

    @property
    def middle(self) -> MeasuredCase:
        """The case with the median time to the target; cases that missed it come last."""
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
        """Whether the loss of a seed became infinite or not a number."""
        return any(case.diverged for case in self.cases)

    @property
    def missed_score(self) -> float:
        """Median score of the seeds that missed the target; there must be at least one."""
        return statistics.median(case.test_score for case in self.cases if not case.reached)

    def overlaps(self, other: "Seeds") -> bool:
        """Whether the ranges of seconds of the two overlap."""
        return min(self.seconds) <= max(other.seconds) and min(other.seconds) <= max(self.seconds)


def fastest(sizes: Iterable[Seeds]) -> Seeds:
    """Return the batch size with the least median time to the target."""
    return min(sizes, key=lambda trained: trained.median_seconds)


def by_series(cases: Iterable[MeasuredCase]) -> dict[tuple[str, str], list[Seeds]]:
    """Group trainings to the target by (engine, learning rate rule), then by batch size.

    Series are in the order in which they ran, batch sizes in ascending order.
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
