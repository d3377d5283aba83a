"""What the checks of predictions across engines found: a table and sentences."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rich.table import Table

from bench.study.transfer import USUAL, Checked
from bench.units import per_cent, seconds

GOOD, TOLERABLE = 0.10, 0.25  # regrets


def report(checked: Sequence[Checked]) -> Iterator[Table | str]:
    """Yield a table of all cells, the largest regret first, and what they come to."""
    yield table(checked)
    yield _share("The predicted size", checked, lambda one: one.predicted)
    yield _share("sqrt(N)", checked, lambda one: one.cell.usual[0])
    for size in USUAL:
        yield _share(f"{size}", checked, partial(_always, size))
    off = sorted(one.predicted_seconds / one.measured[one.predicted] - 1 for one in checked)
    yield (
        f"Predicted over measured seconds at that size: {off[len(off) // 2]:+.0%} in the median, "
        f"{off[0]:+.0%} to {off[-1]:+.0%}."
    )
    yield from _shifts(checked)


def table(checked: Sequence[Checked]) -> Table:
    """Lay out a row for each cell."""
    table = Table(title="predicted and measured best batch sizes", title_justify="left")
    table.add_column("engine")
    headings = ("threads", "samples", "target", "predicted", "regret", "there", "best", "there")
    for heading in (*headings, "regret of sqrt(N)", "32", "128"):
        table.add_column(heading, justify="right")
    for one in sorted(checked, key=lambda one: -one.regret(one.predicted)):
        cell = one.cell
        table.add_row(
            cell.engine,
            f"{cell.threads}",
            f"{cell.samples}",
            f"{cell.target:g}",
            f"{one.predicted}",
            _cost(one.regret(one.predicted)),
            seconds(one.measured[one.predicted]),
            f"{one.best}",
            seconds(one.measured[one.best]),
            *(_cost(one.regret(size)) for size in cell.usual),
        )
    return table


def _cost(regret: float) -> str:
    return per_cent(regret) if regret < math.inf else "not reached"


def _always(size: int, _: Checked) -> int:
    return size


def _share(name: str, checked: Sequence[Checked], choose: Callable[[Checked], int]) -> str:
    regrets = sorted(one.regret(choose(one)) for one in checked)
    good, tolerable = (
        sum(regret <= most for regret in regrets) / len(regrets) for most in (GOOD, TOLERABLE)
    )
    return (
        f"{name}: regret at most {per_cent(GOOD)} in {per_cent(good)} of {len(regrets)} cells, at "
        f"most {per_cent(TOLERABLE)} in {per_cent(tolerable)}; "
        f"{_cost(regrets[len(regrets) // 2])} in the median, {_cost(regrets[-1])} at worst."
    )


def _shifts(checked: Sequence[Checked]) -> Iterator[str]:
    """Yield how far the best size lies apart between the slowest engine and the fastest."""
    cells = {one.cell: one for one in checked}
    for one in checked:
        if one.cell.engine != "loader":
            continue
        other = next(
            cells[cell]
            for cell in cells
            if cell.engine == "native"
            and (cell.threads, cell.samples, cell.target)
            == (one.cell.threads, one.cell.samples, one.cell.target)
        )
        predicted, measured = one.predicted / other.predicted, one.best / other.best
        within = max(predicted / measured, measured / predicted)
        yield (
            f"loader over native, {one.cell.threads} threads, {one.cell.samples} samples, "
            f"{one.cell.target:g}: predicted {predicted:g} times, measured {measured:g} times "
            f"(off by a factor of {within:g})."
        )
