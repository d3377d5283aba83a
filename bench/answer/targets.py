"""Time to the target accuracy, by engine and learning rate rule: a table and a sentence each."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from bench.units import seconds


@dataclass(kw_only=True)
class Target:
    """What the seeds of one batch size took; censored ones count as infinitely long."""

    batch_size: int
    learning_rate: float
    seconds: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    missed_accuracies: list[float] = field(default_factory=list)  # of the censored seeds
    diverged: bool = False  # the loss of one did

    @property
    def median_seconds(self) -> float:
        """Infinite if half the seeds or more are censored."""
        return statistics.median_high(self.seconds)

    @property
    def is_reached(self) -> bool:
        """Whether more than half the seeds reached the target."""
        return self.median_seconds < math.inf


def by_rule(benchmarks: Iterable[dict[str, Any]]) -> dict[tuple[str, str], list[Target]]:
    """Gather convergence cases, in pytest-benchmark's JSON form, by engine and rule."""
    found: dict[tuple[str, str], dict[int, Target]] = {}
    for case in benchmarks:
        info = case["extra_info"]
        if not case["name"].startswith("test_convergence["):
            continue
        targets = found.setdefault((info["engine"], info.get("lr_rule", "fixed")), {})
        target = targets.setdefault(
            info["batch_size"],
            Target(batch_size=info["batch_size"], learning_rate=info["learning_rate"]),
        )
        target.seconds.append(case["stats"]["median"] if info["reached"] else math.inf)
        target.steps.append(info["steps"] if info["reached"] else math.inf)
        target.diverged |= info["diverged"]
        if not info["reached"]:
            target.missed_accuracies.append(info["test_accuracy"])
    return {
        key: sorted(targets.values(), key=lambda target: target.batch_size)
        for key, targets in found.items()
    }


def table(engine: str, rule: str, targets: Sequence[Target], target_accuracy: float) -> Table:
    """Lay out a row a batch size."""
    title = f"{engine} engine, {rule} learning rate, to test accuracy {target_accuracy:g}"
    table = Table(title=title, title_justify="left", title_style="bold")
    headings = ("batch size", "learning rate", "seeds", "time to target", "over seeds", "steps")
    for heading in headings:
        table.add_column(heading, justify="right")
    for target in targets:
        steps = statistics.median_high(target.steps)
        table.add_row(
            str(target.batch_size),
            f"{target.learning_rate:.3g}",
            f"{len(target.seconds) - len(target.missed_accuracies)} of {len(target.seconds)}",
            time_to_target(target),
            over_seeds(target),
            f"{steps:,.0f}" if steps < math.inf else "-",
        )
    return table


def time_to_target(target: Target) -> str:
    """The median's training time, or how far the seeds got that did not reach it."""
    if target.is_reached:
        return seconds(target.median_seconds)
    word = "diverged" if target.diverged else "not reached"
    return f"{word} ({statistics.median(target.missed_accuracies):.4f})"


def over_seeds(target: Target) -> str:
    """From the fastest seed to the slowest; nothing where there is but one."""
    if len(target.seconds) == 1 or min(target.seconds) == math.inf:
        return "-"
    slowest = max(target.seconds)
    return (
        f"{seconds(min(target.seconds))} to {seconds(slowest) if slowest < math.inf else 'never'}"
    )


def sentence(
    rule: str,
    targets: Sequence[Target],
    epoch_seconds: Mapping[int, float],
    setting: Mapping[str, Any],
) -> str:
    """Which batch size reached the target first, and how that differs from the fastest epoch.

    Args:
        rule: of the learning rate.
        targets: at least one.
        epoch_seconds: of the same engine by batch size, as far as they are known.
        setting: a convergence case's extra_info, for the target and the budget.

    """
    goal, budget = f"test accuracy {setting['target_accuracy']:g}", setting["max_epochs"]
    first = min(targets, key=lambda target: target.median_seconds)
    if not first.is_reached:
        closest = max(targets, key=lambda target: statistics.median(target.missed_accuracies))
        return (
            f"With the {rule} learning rate no batch size reached {goal} within {budget} epochs; "
            f"{closest.batch_size} came closest, at "
            f"{statistics.median(closest.missed_accuracies):.4f}."
        )
    won = (
        f"With the {rule} learning rate batch size {first.batch_size} reached {goal} first, after "
        f"{seconds(first.median_seconds)} of training"
    )
    timed = [target for target in targets if target.batch_size in epoch_seconds]
    if not timed:
        return f"{won}."
    fastest = min(timed, key=lambda target: epoch_seconds[target.batch_size])
    epoch = seconds(epoch_seconds[fastest.batch_size])
    if fastest is first:
        return f"{won}, and has the fastest epoch too, {epoch}."
    missed = "diverged" if fastest.diverged else "did not reach it"
    slower = (
        f"took {fastest.median_seconds / first.median_seconds:.1f} times as long"
        if fastest.is_reached
        else f"{missed} within {budget} epochs"
    )
    return (
        f"{won}; batch size {fastest.batch_size}, whose epoch is the fastest at {epoch}, {slower}."
    )
