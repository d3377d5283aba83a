"""A run in tables, an engine or a question each, and in sentences on what they mean."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from bench import cases
from bench.answer import axes, peer_table, targets, words
from bench.units import seconds

WIDTH = 100
VERBS = ("test_step", "test_epoch")  # that a row tells of


@dataclass(kw_only=True)
class Row:
    """How fast one batch size is; None where the run didn't look."""

    batch_size: int
    step_seconds: float | None = None
    epoch_seconds: float | None = None
    floor_fraction: float | None = None  # of an epoch
    samples_per_second: float | None = None  # of an epoch, else of a step
    peak_memory_bytes: int | None = None  # of an epoch, else of a step


def rows_by_engine(benchmarks: Iterable[dict[str, Any]]) -> dict[str, list[Row]]:
    """Gather the cases of a run, in pytest-benchmark's JSON form, by engine and batch size."""
    engines: dict[str, dict[int, Row]] = {}
    for case in benchmarks:
        info, median = case["extra_info"], case["stats"]["median"]
        verb = case["name"].partition("[")[0]
        if verb not in VERBS:
            continue
        rows = engines.setdefault(info["engine"], {})
        row = rows.setdefault(info["batch_size"], Row(batch_size=info["batch_size"]))
        if verb == "test_step":
            row.step_seconds = median
        else:
            row.epoch_seconds = median
            row.floor_fraction = info.get("floor_fraction")
        if verb == "test_epoch" or row.epoch_seconds is None:
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
        for each in (*_target_tables(benchmarks), *peer_table.tables(benchmarks)):
            console.print(each)
        for line in sentences(benchmarks):
            console.print(line, highlight=False)
    return capture.get()


def table(engine: str, rows: list[Row], setting: dict[str, Any]) -> Table:
    """Lay out one engine's rows."""
    title = f"{engine} engine, {setting['data']}, {setting['device']}, {setting['threads']} threads"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("batch size", "step", "epoch", "of floor", "samples/s", "peak memory"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            str(row.batch_size),
            seconds(row.step_seconds),
            seconds(row.epoch_seconds),
            "-" if row.floor_fraction is None else f"{row.floor_fraction:.2f}",
            "-" if row.samples_per_second is None else f"{row.samples_per_second:,.0f}",
            "-" if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 1e6:,.1f} MB",
        )
    return table


def _target_tables(benchmarks: list[dict[str, Any]]) -> list[Table]:
    return [
        targets.table(engine, rule, found, _setting(benchmarks)["target_accuracy"])
        for (engine, rule), found in targets.by_rule(benchmarks).items()
    ]


def sentences(benchmarks: list[dict[str, Any]]) -> list[str]:
    """What the tables mean: the first to the target, the axes, the laws."""
    return [
        *(
            target_sentence(benchmarks, engine, rule)
            for engine, rule in targets.by_rule(benchmarks)
        ),
        *axes.sentences(benchmarks),
        *words.of_memory(benchmarks, psutil.virtual_memory().total),
        *words.sentences(benchmarks),
    ]


def target_sentence(benchmarks: list[dict[str, Any]], engine: str, rule: str) -> str:
    """Which batch size was first to the target, with one engine and rule, beside its epochs."""
    epoch_seconds = {
        row.batch_size: row.epoch_seconds
        for row in rows_by_engine(benchmarks).get(engine, [])
        if row.epoch_seconds is not None
    }
    found = targets.by_rule(benchmarks)[engine, rule]
    return targets.sentence(rule, found, epoch_seconds, _setting(benchmarks))


def _setting(benchmarks: list[dict[str, Any]]) -> dict[str, Any]:
    """The target and the budget, of any case that has them."""
    return next(case["extra_info"] for case in benchmarks if "max_epochs" in case["extra_info"])
