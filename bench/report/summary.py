"""A run in tables, an engine or a question each, and in sentences on what they mean."""

from collections.abc import Sequence

import psutil
from rich.console import Console
from rich.table import Table

from bench.report import axes, disturbed, peer_table, targets, words
from bench.runs import selection
from bench.runs.case import MeasuredCase
from bench.runs.seeds import Seeds, by_series
from bench.units import megabytes

WIDTH = 100
HEADINGS = ("batch size", "step", "epoch", "rounds", "of floor", "samples/s", "peak memory")


def render(measured: Sequence[MeasuredCase], *, details: bool = False) -> str:
    """Lay out a run's tables and sentences as text of at most 100 columns."""
    series = by_series(measured)
    console = Console(width=WIDTH, color_system=None, force_terminal=False)
    with console.capture() as capture:
        for table in (
            *engine_tables(measured),
            *(targets.table(found) for found in series.values()),
            *peer_table.tables(measured),
        ):
            console.print(table)
        for sentence in (
            *(target_sentence(measured, found) for found in series.values()),
            *axes.sentences(measured),
            *disturbed.sentences(measured),
            *words.of_memory(measured, psutil.virtual_memory().total),
            *words.sentences(measured),
            *(axes.forms(measured) if details else ()),
        ):
            console.print(sentence, highlight=False, markup=False)
    return capture.get()


def engine_tables(measured: Sequence[MeasuredCase]) -> list[Table]:
    """Lay out the steps and epochs of each engine, in the order in which engines ran."""
    timed = [case for case in measured if case.verb in {"step", "epoch"}]
    return [
        _engine_table([case for case in timed if case.engine == engine])
        for engine in selection.engines(timed)
    ]


def _engine_table(timed: Sequence[MeasuredCase]) -> Table:
    first = timed[0]
    title = f"{first.engine} engine, {first.data}, {first.device}, {first.threads} threads"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    steps = {case.batch_size: case for case in timed if case.verb == "step"}
    epochs = {case.batch_size: case for case in timed if case.verb == "epoch"}
    for size in sorted(steps | epochs):
        whole = epochs[size] if size in epochs else steps[size]  # has the throughput and memory
        table.add_row(
            str(size),
            disturbed.marked(steps.get(size)),
            disturbed.marked(epochs.get(size)),
            ", ".join(str(found[size].rounds) for found in (steps, epochs) if size in found),
            "-" if whole.floor_fraction is None else f"{whole.floor_fraction:.2f}",
            f"{whole.samples_per_second:,.0f}",
            megabytes(whole.peak_memory_bytes),
        )
    return table


def target_sentence(measured: Sequence[MeasuredCase], found: Sequence[Seeds]) -> str:
    """Name the batch size of a series that was first to the target, beside its engine's epochs."""
    epochs = selection.of_verb(measured, "epoch", found[0].cases[0].engine)
    return targets.sentence(found, {case.batch_size: case.seconds for case in epochs})
