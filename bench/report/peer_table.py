"""Ours over each peer, a row a batch size."""

import statistics
from collections.abc import Iterable, Sequence

from rich.table import Table

from bench.runs.case import MeasuredCase
from bench.units import seconds

TITLES = {
    "peers": "in turns with others",
    "peers_without_zeros": "on images without zeros, in turns with others",
}


def tables(measured: Iterable[MeasuredCase]) -> list[Table]:
    """Lay out the cases that took turns with peers, a table for each verb and set of peers."""
    against: dict[tuple[str, ...], list[MeasuredCase]] = {}
    for case in measured:
        if case.peer_seconds:
            against.setdefault((case.verb, *case.peer_seconds), []).append(case)
    return [_table(peers, found) for (_, *peers), found in against.items()]


def _table(peers: Sequence[str], found: Sequence[MeasuredCase]) -> Table:
    first = found[0]
    turns = TITLES.get(first.verb, TITLES["peers"])
    title = f"{first.engine} engine, {turns}: how many times as fast it is, and 95 % interval"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("batch size", f"{first.engine}, a sample", *(f"over {peer}" for peer in peers)):
        table.add_column(heading, justify="right")
    for case in found:
        table.add_row(
            str(case.batch_size),
            seconds(1 / case.samples_per_second),
            *(_ratio(case, peer) for peer in peers),
        )
    return table


def _ratio(case: MeasuredCase, peer: str) -> str:
    if peer in case.peer_ratios:
        ratio, low, high = case.peer_ratios[peer]
        return f"{ratio:.2f}\n{low:.2f} to {high:.2f}"
    return f"{statistics.median(case.peer_seconds[peer]) / case.seconds:.2f}"
