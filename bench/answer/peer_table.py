"""Ours over each peer, a row a batch size."""

import statistics
from collections.abc import Iterable, Sequence

from rich.table import Table

from bench.runs.case import MeasuredCase
from bench.units import seconds


def tables(measured: Iterable[MeasuredCase]) -> list[Table]:
    """Lay out the cases that took turns with peers, a table for each verb and set of peers."""
    against: dict[tuple[str, ...], list[MeasuredCase]] = {}
    for case in measured:
        if case.peer_seconds:
            against.setdefault((case.verb, *case.peer_seconds), []).append(case)
    return [_table(peers, found) for (_, *peers), found in against.items()]


def _table(peers: Sequence[str], found: Sequence[MeasuredCase]) -> Table:
    engine, precision = found[0].engine, found[0].precision
    title = f"{engine} engine, {precision}, in turns with others: how many times as fast it is"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("batch size", f"{engine}, a sample", *(f"over {peer}" for peer in peers)):
        table.add_column(heading, justify="right")
    for case in found:
        ratios = [statistics.median(case.peer_seconds[peer]) / case.seconds for peer in peers]
        table.add_row(
            str(case.batch_size),
            seconds(1 / case.samples_per_second),
            *(f"{ratio:.2f}" for ratio in ratios),
        )
    return table
