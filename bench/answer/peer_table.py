"""Ours over each peer, a row a batch size."""

import statistics
from collections.abc import Iterable
from typing import Any

from rich.table import Table

from bench.units import seconds


def tables(benchmarks: Iterable[dict[str, Any]]) -> list[Table]:
    """Lay out the cases, in pytest-benchmark's JSON form, that took turns with peers."""
    against: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for case in benchmarks:
        if "peer_seconds" in case["extra_info"]:
            verb = case["name"].partition("[")[0]
            against.setdefault((verb, *case["extra_info"]["peer_seconds"]), []).append(case)
    return [_table(peers, found) for (_, *peers), found in against.items()]


def _table(peers: list[str], found: list[dict[str, Any]]) -> Table:
    engine, precision = (found[0]["extra_info"][name] for name in ("engine", "precision"))
    title = f"{engine} engine, {precision}, in turns with others: how many times as fast it is"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("batch size", f"{engine}, a sample", *(f"over {peer}" for peer in peers)):
        table.add_column(heading, justify="right")
    for case in found:
        info, ours = case["extra_info"], case["stats"]["median"]
        times = [statistics.median(info["peer_seconds"][peer]) / ours for peer in peers]
        table.add_row(
            str(info["batch_size"]),
            seconds(1 / info["samples_per_second"]),
            *(f"{ratio:.2f}" for ratio in times),
        )
    return table
