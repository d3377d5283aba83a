"""What a study of steps to a target found: tuned rates, and the bounds of each fresh run.

The package holds the findings, since steps do not depend on the machine. The command `steps`, last
in commit 0b095c1, made them.
"""

import math
from importlib import resources
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class TunedRate(BaseModel):
    """The rate that took the fewest steps at a batch size, to one target."""

    model_config = ConfigDict(frozen=True)

    batch_size: int
    learning_rate: float
    is_interior: bool  # a lower and a higher rate took more steps
    median_steps: dict[float, int | None]  # of each rate of the grid; None where not reached


class Group(BaseModel):
    """Fresh runs that differ in their seed alone."""

    model_config = ConfigDict(frozen=True)

    judged_on: str
    batch_size: int
    learning_rate: float
    seeds: list[int]
    # Of each target, a pair a seed: steps below it, and steps at it, None where it was not reached.
    # Where the first seeds came nowhere near a target, the others did not try it.
    bounds: dict[float, list[tuple[int, int | None]]]

    def runs(self, target: float) -> dict[int, tuple[float, float]]:
        """Return the bounds by seed, infinite where the target was not reached."""
        pairs = self.bounds.get(target, [])
        return {
            seed: (low, math.inf if high is None else high)
            for seed, (low, high) in zip(self.seeds, pairs, strict=False)
        }


class Reference(BaseModel):
    """A study's findings."""

    model_config = ConfigDict(frozen=True)

    study: dict[str, Any]  # commit, versions, date, command and plan
    tuned: dict[float, list[TunedRate]]  # by target
    fresh: list[Group]

    @classmethod
    def shipped(cls) -> Self:
        """Return the findings that are part of the package."""
        text = resources.files("bench.best").joinpath("reference.json").read_text()
        return cls.model_validate_json(text)

    def runs(self, target: float, *, judged_on: str) -> dict[int, dict[int, tuple[float, float]]]:
        """Return bounds by batch size and seed, at the tuned rates."""
        rates = {one.batch_size: one.learning_rate for one in self.tuned[target]}
        return {
            group.batch_size: group.runs(target)
            for group in self.fresh
            if group.judged_on == judged_on and group.learning_rate == rates[group.batch_size]
        }
