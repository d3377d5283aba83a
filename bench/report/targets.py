"""Time to the target accuracy, by engine and learning rate rule: a table and a sentence each."""

import math
from collections.abc import Mapping, Sequence

from rich.table import Table

from bench.report import disturbed
from bench.runs.seeds import Seeds
from bench.units import seconds

HEADINGS = ("batch size", "learning rate", "seeds", "time to target", "over seeds", "steps")


def table(found: Sequence[Seeds]) -> Table:
    """Lay out one engine and rule, a row a batch size."""
    first = found[0].cases[0]
    title = (
        f"{first.engine} engine, {first.lr_rule} learning rate, to test accuracy "
        f"{first.target_accuracy:g}"
    )
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for seeds in found:
        steps = seeds.median_steps
        table.add_row(
            str(seeds.batch_size),
            f"{seeds.cases[0].learning_rate:.3g}",
            _seeds(seeds),
            time_to_target(seeds) + disturbed.mark(seeds.cases),
            over_seeds(seeds),
            f"{steps:,.0f}" if steps < math.inf else "-",
        )
    return table


def _seeds(seeds: Seeds) -> str:
    """Return how many reached the target, of how many, and how many were left out."""
    left_out = sum(case.seeds_left_out for case in seeds.cases)
    text = f"{seeds.reached} of {len(seeds.cases)}"
    return f"{text}, {left_out} left out" if left_out else text


def time_to_target(seeds: Seeds) -> str:
    """Return the median training time, or how far the seeds got that missed the target."""
    if not seeds.is_censored:
        return seconds(seeds.median_seconds)
    word = "diverged" if seeds.diverged else "not reached"
    return f"{word} ({seeds.missed_accuracy:.4f})"


def over_seeds(seeds: Seeds) -> str:
    """Return the times of the fastest and the slowest seed; nothing where there is but one."""
    fastest, slowest = min(seeds.seconds), max(seeds.seconds)
    if len(seeds.cases) == 1 or fastest == math.inf:
        return "-"
    return f"{seconds(fastest)} to {seconds(slowest) if slowest < math.inf else 'never'}"


def sentence(found: Sequence[Seeds], epoch_seconds: Mapping[int, float]) -> str:
    """Name the batch size that reached the target first, and the one whose epoch is the fastest.

    Args:
        found: of one engine and rule, at least one batch size.
        epoch_seconds: of the same engine by batch size, as far as they are known.

    """
    rule, goal = found[0].cases[0].lr_rule, _goal(found)
    best = min(found, key=lambda seeds: seeds.median_seconds)
    if best.is_censored:
        closest = max(found, key=lambda seeds: seeds.missed_accuracy)
        return (
            f"With the {rule} learning rate no batch size reached {goal} {_budget(found)}; "
            f"{closest.batch_size} came closest, at {closest.missed_accuracy:.4f}."
        )
    won = (
        f"With the {rule} learning rate batch size {best.batch_size} reached {goal} first, after "
        f"{seconds(best.median_seconds)} of training"
    )
    timed = [seeds for seeds in found if seeds.batch_size in epoch_seconds]
    if not timed:
        return f"{won}."
    fastest = min(timed, key=lambda seeds: epoch_seconds[seeds.batch_size])
    epoch = seconds(epoch_seconds[fastest.batch_size])
    if fastest is best:
        return f"{won}, and of these batch sizes it has the fastest epoch too, {epoch}."
    return (
        f"{won}. Of these batch sizes {fastest.batch_size} has the fastest epoch, {epoch}, and "
        f"{_outcome(fastest, best)}."
    )


def _outcome(seeds: Seeds, best: Seeds) -> str:
    if not seeds.is_censored:
        times = seeds.median_seconds / best.median_seconds
        return f"took {times:.1f} times as long to the target"
    word = "diverged" if seeds.diverged else "did not reach the target"
    return f"{word} {_budget([seeds])}"


def _goal(found: Sequence[Seeds]) -> str:
    return f"test accuracy {found[0].cases[0].target_accuracy:g}"


def _budget(found: Sequence[Seeds]) -> str:
    return f"within {found[0].cases[0].max_epochs} epochs"
