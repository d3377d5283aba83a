"""What a study found, small enough to keep: tuned rates, and each fresh run's bounds."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from bench import cases
from bench.runs.seeds import median_over_seeds
from bench.study.ledger import Ledger
from bench.study.trial import Outcome, Setting, Task
from bench.study.tuning import Tuned

NO_BOUND = None  # a run that was censored has only a lower one


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found at one batch size."""

    batch_size: int
    tuned: Tuned
    fresh: Sequence[Task]  # the runs with seeds that chose nothing


def summary(ledger: Ledger, found: Sequence[Found], targets: Sequence[float]) -> dict[str, Any]:
    """Return what is worth keeping, as JSON's types."""
    return {
        "study": ledger.header,
        "tuned": {
            f"{target}": [
                {
                    "batch_size": one.batch_size,
                    "learning_rate": one.tuned.best_rate(target),
                    "is_interior": one.tuned.is_interior(target),
                    "median_steps": {
                        f"{rate}": None if steps == math.inf else steps
                        for rate, steps in sorted(one.tuned.steps[target].items())
                    },
                }
                for one in found
            ]
            for target in targets
        },
        "fresh": [_grouped(group, ledger.runs) for one in found for group in _by_rate(one.fresh)],
    }


def as_text(content: Mapping[str, Any]) -> str:
    """Write a summary, a line for each group of runs."""
    parts = []
    for key, value in content.items():
        if isinstance(value, list):
            lines = ",\n".join(json.dumps(each) for each in value)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def tables(ledger: Ledger, found: Sequence[Found], targets: Sequence[float]) -> Iterator[Table]:
    """Lay out each target: a row for each batch size."""
    for target in targets:
        table = Table(
            title=f"steps to accuracy {target:g}, medians", title_justify="left", title_style="bold"
        )
        headings = ("batch size", "tuned rate", "validation", "test", "test, at 0.1", "seeds")
        for heading in headings:
            table.add_column(heading, justify="right")
        for one in found:
            best = one.tuned.best_rate(target)
            edge = "" if one.tuned.is_interior(target) else " (edge)"
            columns = [
                _median(ledger.runs, one.fresh, rate, judge, target)
                for rate, judge in (
                    (best, "validation"),
                    (best, "test"),
                    (cases.LEARNING_RATE, "test"),
                )
            ]
            seeds = len({task.setting.seed for task in one.fresh})
            table.add_row(f"{one.batch_size}", f"{best:.3g}{edge}", *columns, f"{seeds}")
        yield table


def _median(
    runs: Mapping[Setting, Outcome], tasks: Sequence[Task], rate: float, judge: str, target: float
) -> str:
    chosen = [
        runs[task.setting].steps_to(target)
        for task in tasks
        if (task.setting.learning_rate, task.setting.judged_on) == (rate, judge)
        and target in task.targets
    ]
    median = median_over_seeds(chosen)
    return "not reached" if median == math.inf else f"{median:,.0f}"


def _by_rate(tasks: Sequence[Task]) -> list[list[Task]]:
    """Group runs that differ in their seed alone."""
    groups: dict[tuple[float, str], list[Task]] = {}
    for task in tasks:
        key = task.setting.learning_rate, task.setting.judged_on
        groups.setdefault(key, []).append(task)
    return list(groups.values())


def _grouped(tasks: Sequence[Task], runs: Mapping[Setting, Outcome]) -> dict[str, Any]:
    setting = tasks[0].setting
    return {
        "judged_on": setting.judged_on,
        "batch_size": setting.batch_size,
        "learning_rate": setting.learning_rate,
        "seeds": [task.setting.seed for task in tasks],
        "bounds": {
            f"{target}": [
                _bounds(runs[task.setting], target) for task in tasks if target in task.targets
            ]
            for target in tasks[0].targets  # later seeds may lack some of them
        },
    }


def _bounds(run: Outcome, target: float) -> list[int | None]:
    if target in run.bounds:
        return list(run.bounds[target])
    return [run.steps, NO_BOUND]
