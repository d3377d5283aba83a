"""A study of steps to a target: tuned rates, and the bounds of each fresh training.

The package holds the study's results, since steps do not depend on the machine. They were made by
the command `steps`, which commit 0b095c1 was the last to contain.
"""

import math
from importlib import resources
from typing import Any, Self

from pydantic import BaseModel

from bench.laws.time_to_target import StepBounds
from mnist_mlp.errors import UserError


class TunedRate(BaseModel):
    """The rate that took the fewest steps at a batch size, to one target."""

    batch_size: int
    learning_rate: float


class FreshTrainings(TunedRate):
    """Trainings at a tuned rate that differ only in their seed, and did not choose the rate."""

    judged_on: str
    seeds: list[int]
    # Target -> a pair per seed: steps below the target and steps at it, None if it was not
    # reached. If the first seeds stayed far from a target, the other seeds did not try it.
    bounds: dict[float, list[tuple[int, int | None]]]


class Reference(BaseModel):
    """The results of a study."""

    study: dict[str, Any]  # commit, versions, date, command and plan
    tuned: dict[float, list[TunedRate]]  # target -> rates
    fresh: list[FreshTrainings]

    @classmethod
    def shipped(cls) -> Self:
        """Return the study that is part of the package."""
        text = resources.files("bench.best").joinpath("reference.json").read_text()
        return cls.model_validate_json(text)

    def rates(self, target: float) -> dict[int, float]:
        """Return the tuned rates by batch size; raise if the study did not have the target."""
        if target not in self.tuned:
            known = ", ".join(f"{each:g}" for each in self.tuned)
            raise UserError(
                f"steps to test accuracy {target:g} are not known, only those to {known}: choose "
                "a known target, or make trainings with `python -m bench sweet-spot`"
            )
        return {tuned.batch_size: tuned.learning_rate for tuned in self.tuned[target]}

    def bounds(self, target: float, *, judged_on: str = "test") -> StepBounds:
        """Return bounds of steps by batch size and seed, at the tuned rates.

        They are infinite if the target was not reached.
        """
        rates = self.rates(target)
        return {
            group.batch_size: {
                seed: (low, math.inf if high is None else high)
                for seed, (low, high) in zip(
                    group.seeds, group.bounds.get(target, []), strict=False
                )
            }
            for group in self.fresh
            if group.judged_on == judged_on and group.learning_rate == rates.get(group.batch_size)
        }

    def source(self, target: float) -> str:
        """Name the study in a sentence."""
        seeds = min(map(len, self.bounds(target).values()))
        return (
            f"Steps are those of a study of {self.study['data']}, {self.study['started'][:10]}, "
            f"commit {self.study['commit'][:7]}, {seeds} seeds per size; seconds are measured here."
        )
