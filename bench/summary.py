"""The run in one table an engine: a row a batch size, and a sentence on what it means."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import axes, cases, peer_table
from bench.answer import words
from bench.units import seconds

WIDTH = 100
VERBS = ("test_step", "test_epoch", "test_convergence")  # that a row tells of
INFINITE = float("inf")


@dataclass(kw_only=True)
class Row:
    """What a run found out about one batch size; None where it didn't look."""

    batch_size: int
    step_seconds: float | None = None
    epoch_seconds: float | None = None
    samples_per_second: float | None = None  # of an epoch, else of a step
    peak_memory_bytes: int | None = None  # of an epoch, else of a step
    target_seconds: list[float] = field(default_factory=list)  # one a seed, infinite if not reached
    missed_accuracies: list[float] = field(default_factory=list)  # of seeds that didn't reach it
    diverged: bool = False  # a seed's loss did

    @property
    def median_target_seconds(self) -> float:
        """Training time to the target; infinite if half the seeds or more did not reach it."""
        return statistics.median_high(self.target_seconds) if self.target_seconds else INFINITE


def rows_by_engine(benchmarks: Iterable[dict[str, Any]]) -> dict[str, list[Row]]:
    """Gather the cases of a run, in pytest-benchmark's JSON form, by engine and batch size."""
    engines: dict[str, dict[int, Row]] = {}
    for case in benchmarks:
        info, seconds = case["extra_info"], case["stats"]["median"]
        verb = case["name"].partition("[")[0]
        if verb not in VERBS:
            continue
        rows = engines.setdefault(info["engine"], {})
        row = rows.setdefault(info["batch_size"], Row(batch_size=info["batch_size"]))
        if verb == "test_convergence":
            row.target_seconds.append(seconds if info["reached"] else INFINITE)
            row.diverged |= info["diverged"]
            if not info["reached"]:
                row.missed_accuracies.append(info["test_accuracy"])
        if verb == "test_step":
            row.step_seconds = seconds
        if verb == "test_epoch":
            row.epoch_seconds = seconds
        if verb == "test_epoch" or (verb == "test_step" and row.epoch_seconds is None):
            row.samples_per_second = info["samples_per_second"]
            row.peak_memory_bytes = info["peak_memory_bytes"]
    return {
        engine: sorted(engines[engine].values(), key=lambda row: row.batch_size)
        for engine in cases.ENGINES
        if engine in engines
    }


def render(benchmarks: Iterable[dict[str, Any]]) -> str:
    """Lay out a run's tables and sentences as text of at most 100 columns."""
    benchmarks = list(benchmarks)
    console = Console(width=WIDTH, color_system=None, force_terminal=False)
    with console.capture() as capture:
        for engine, rows in rows_by_engine(benchmarks).items():
            console.print(table(engine, rows, benchmarks[0]["extra_info"]))
            console.print(sentence(rows, benchmarks))
        for peers in peer_table.tables(benchmarks):
            console.print(peers)
        for line in (*axes.sentences(benchmarks), *words.sentences(benchmarks)):
            console.print(line, highlight=False)
    return capture.get()


def table(engine: str, rows: list[Row], setting: dict[str, Any]) -> Table:
    """Lay out one engine's rows."""
    title = (
        f"{engine} engine, {setting['data']}, {setting['device']}, {setting['threads']} threads, "
        f"learning rate {setting['learning_rate']:g}"
    )
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("batch size", "step", "epoch", "samples/s", "time to target", "peak memory"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            str(row.batch_size),
            seconds(row.step_seconds),
            seconds(row.epoch_seconds),
            "-" if row.samples_per_second is None else f"{row.samples_per_second:,.0f}",
            time_to_target(row),
            "-" if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 1e6:,.1f} MB",
        )
    return table


def sentence(rows: list[Row], benchmarks: list[dict[str, Any]]) -> str:
    """Which batch size reached the target first, and how that differs from the fastest epoch."""
    tried = [row for row in rows if row.target_seconds]
    if not tried:
        return ""
    info = next(
        case["extra_info"] for case in benchmarks if "target_accuracy" in case["extra_info"]
    )
    target = f"test accuracy {info['target_accuracy']:g}"
    first = min(tried, key=lambda row: row.median_target_seconds)
    if first.median_target_seconds == INFINITE:
        closest = max(tried, key=lambda row: statistics.median(row.missed_accuracies))
        return (
            f"No batch size reached {target} within {info['max_epochs']} epochs; "
            f"{closest.batch_size} came closest, at "
            f"{statistics.median(closest.missed_accuracies):.4f}."
        )
    won = (
        f"Batch size {first.batch_size} reached {target} first, after "
        f"{seconds(first.median_target_seconds)} of training"
    )
    timed = [row for row in tried if row.epoch_seconds is not None]
    if not timed:
        return f"{won}."
    fastest = min(timed, key=lambda row: row.epoch_seconds or INFINITE)
    if fastest is first:
        return f"{won}, and has the fastest epoch too, {seconds(first.epoch_seconds)}."
    missed = "diverged" if fastest.diverged else "did not reach it"
    slower = (
        f"{missed} within {info['max_epochs']} epochs"
        if fastest.median_target_seconds == INFINITE
        else f"took {fastest.median_target_seconds / first.median_target_seconds:.1f} times as long"
    )
    return (
        f"{won}; batch size {fastest.batch_size}, whose epoch is the fastest at "
        f"{seconds(fastest.epoch_seconds)}, {slower}."
    )


def time_to_target(row: Row) -> str:
    """Training time, or that the target was not reached and the accuracy of those that missed."""
    if not row.target_seconds:
        return "-"
    seeds, missed = len(row.target_seconds), len(row.missed_accuracies)
    text = seconds(row.median_target_seconds)
    if row.median_target_seconds == INFINITE:
        word = "diverged" if row.diverged else "not reached"
        text = f"{word} ({statistics.median(row.missed_accuracies):.4f})"
    return f"{text}, {seeds - missed} of {seeds} seeds" if 0 < missed < seeds else text
