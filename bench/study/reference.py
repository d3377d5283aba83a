"""What a study found, small enough to keep: tuned rates, and the bounds of each fresh run.

The package holds that of a whole study, since steps to target do not depend on the machine.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.study.ledger import Ledger, LedgerError
from bench.study.trial import Outcome, Setting, Task
from bench.study.tuning import Tuned

SHIPPED = "reference.json"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a study found at one batch size."""

    batch_size: int
    tuned: Tuned
    fresh: Sequence[Task]  # the runs with seeds that chose nothing


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
        return cls.parse(resources.files("bench.study").joinpath(SHIPPED).read_text(), SHIPPED)

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Read findings.

        Raises:
            LedgerError: the text holds something else.

        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            raise LedgerError(f"{name} is no summary of a study: see {place}") from error

    def runs(
        self, target: float, *, judged_on: str, rate: float | None = None
    ) -> dict[int, dict[int, tuple[float, float]]]:
        """Return bounds by batch size and seed, at the tuned rates or at one rate for all."""
        rates = {one.batch_size: one.learning_rate for one in self.tuned[target]}
        return {
            group.batch_size: group.runs(target)
            for group in self.fresh
            if group.judged_on == judged_on
            and group.learning_rate == (rate or rates[group.batch_size])
        }


def of_study(ledger: Ledger, found: Sequence[Found], targets: Sequence[float]) -> Reference:
    """Gather what is worth keeping of a study."""
    return Reference(
        study=ledger.header,
        tuned={target: [_tuned(one, target) for one in found] for target in targets},
        fresh=[_group(tasks, ledger.runs) for one in found for tasks in _by_rate(one.fresh)],
    )


def as_text(reference: Reference) -> str:
    """Write findings as JSON, a line for each group of runs."""
    content = reference.model_dump(mode="json")
    groups = ",\n".join(json.dumps(group) for group in content["fresh"])
    study, tuned = json.dumps(content["study"]), json.dumps(content["tuned"])
    return f'{{"study": {study},\n"tuned": {tuned},\n"fresh": [\n{groups}\n]}}\n'


def _tuned(one: Found, target: float) -> TunedRate:
    return TunedRate(
        batch_size=one.batch_size,
        learning_rate=one.tuned.best_rate(target),
        is_interior=one.tuned.is_interior(target),
        median_steps={
            rate: None if steps == math.inf else int(steps)
            for rate, steps in sorted(one.tuned.steps[target].items())
        },
    )


def _by_rate(tasks: Sequence[Task]) -> list[list[Task]]:
    """Group runs that differ in their seed alone."""
    groups: dict[tuple[float, str], list[Task]] = {}
    for task in tasks:
        key = task.setting.learning_rate, task.setting.judged_on
        groups.setdefault(key, []).append(task)
    return list(groups.values())


def _group(tasks: Sequence[Task], runs: Mapping[Setting, Outcome]) -> Group:
    first = tasks[0]
    return Group(
        judged_on=first.setting.judged_on,
        batch_size=first.setting.batch_size,
        learning_rate=first.setting.learning_rate,
        seeds=[task.setting.seed for task in tasks],
        bounds={
            target: [
                _bounds(runs[task.setting], target) for task in tasks if target in task.targets
            ]
            for target in first.targets
        },
    )


def _bounds(run: Outcome, target: float) -> tuple[int, int | None]:
    return run.bounds.get(target, (run.steps, None))
