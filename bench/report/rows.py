"""Saved runs as rows: a mark of a figure each, with its numbers and how they read."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from bench.laws import laws
from bench.laws.line import LawError
from bench.runs import selection
from bench.runs.case import MeasuredCase
from bench.runs.seeds import by_series, median_over_seeds
from bench.units import megabytes, seconds

Runs = Mapping[str, Sequence[MeasuredCase]]  # a run's name -> its cases
Row = dict[str, Any]

CURVE_POINTS = 60
TRACED_BATCH_SIZES = 6  # as many as there are colours
SMALLEST_ERROR = 1e-4  # one sample of MNIST's test set: a logarithmic axis has no 0
SMALLEST_MEGABYTES = 0.1  # for the same reason


def select(runs: Runs, verb: str) -> Iterator[tuple[str, MeasuredCase]]:
    """Yield the run's name and each case of a verb, by batch size."""
    for run, cases in runs.items():
        for case in selection.of_verb(cases, verb):
            yield run, case


def grouped(rows: Iterable[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows that agree in these keys."""
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return dict(groups)


def epochs(runs: Runs) -> list[Row]:
    """Return a row for each timed epoch."""
    return [
        {
            "run": run,
            "engine": case.engine,
            "batch size": case.batch_size,
            "seconds": case.seconds,
            "epoch": seconds(case.seconds),
            "samples": case.samples,
            "samples a second": f"{case.samples_per_second:,.0f}",
        }
        for run, case in select(runs, "epoch")
    ]


def epoch_curves(runs: Runs, epochs: Sequence[Row]) -> list[Row]:
    """Return points on steps an epoch times the law of step time, of each engine that has one."""
    curves = []
    for (run, engine), members in grouped(epochs, "run", "engine").items():
        with suppress(LawError):
            law = laws.fit_step_time(selection.step_seconds(runs[run], engine))
            curves += [
                {
                    "run": run,
                    "engine": engine,
                    "batch size": size,
                    "seconds": members[0]["samples"] / size * law.seconds(size),
                }
                for size in _sizes_of_curve(law.misfits)
            ]
    return curves


def seeds(runs: Runs) -> list[Row]:
    """Return a row for each seed that trained to the target."""
    several_engines = len({case.engine for _, case in select(runs, "convergence")}) > 1
    return [
        {
            "run": run,
            "engine": case.engine,
            "rule": case.lr_rule,
            "learning rate": f"{case.lr_rule}, {case.engine}" * several_engines or case.lr_rule,
            "batch size": case.batch_size,
            "seed": case.seed,
            "seconds": case.seconds,
            "steps": max(case.steps, 1),  # on a logarithmic axis
            "reached": case.reached,
            "target": case.target_accuracy,
            "spent": f"{seconds(case.seconds)}, {case.steps:,} steps",
            "test accuracy": f"{case.test_accuracy:.4f}",
            "trace": case.trace,
        }
        for run, case in select(runs, "convergence")
    ]


def medians(seeds: Sequence[Row], measure: str, text: Callable[[float], str]) -> list[Row]:
    """A row a batch size; its median counts a seed that missed as longer than all others.

    Args:
        seeds: as `seeds` gives them.
        measure: "seconds" or "steps". None in a row where half its seeds or more missed.
        text: how a value of it reads.

    """
    groups = grouped(seeds, "run", "learning rate", "batch size")
    rows = []
    for (run, rule, size), members in groups.items():
        spent = [row[measure] for row in members]
        reached = [row[measure] for row in members if row["reached"]]
        missed = [math.inf] * (len(spent) - len(reached))
        median = median_over_seeds(reached + missed)
        rows.append(
            {
                "run": run,
                "learning rate": rule,
                "batch size": size,
                measure: median if median < math.inf else None,
                "least": min(spent),
                "most": max(spent),
                "median": text(median) if median < math.inf else "not reached",
                "over seeds": f"{text(min(spent))} to {text(max(spent))}",
                "reached by": f"{len(reached)} of {len(spent)} seeds",
            }
        )
    return rows


def steps_curves(runs: Runs, seeds: Sequence[Row]) -> list[Row]:
    """Return points on the law of steps to target, of each learning rate rule that has one."""
    curves = []
    for run, engine, rule, series in grouped(seeds, "run", "engine", "rule", "learning rate"):
        if rule == "fixed":
            continue  # the law is of rates that suit the batch size
        with suppress(LawError):
            found = by_series(runs[run])[engine, rule]
            law = laws.fit_steps_to_target({one.batch_size: one.steps for one in found})
            curves += [
                {"run": run, "learning rate": series, "batch size": size, "steps": law.steps(size)}
                for size in _sizes_of_curve(law.misfits)
            ]
    return curves


def _sizes_of_curve(fitted: Iterable[int]) -> list[float]:
    sizes = list(fitted)
    return [float(size) for size in np.geomspace(min(sizes), max(sizes), CURVE_POINTS)]


def evaluations(seeds: Sequence[Row]) -> list[Row]:
    """A row an evaluation, of the seed in the middle of a few batch sizes."""
    traced = [row for row in seeds if row["trace"]]
    chosen = spread_out({row["batch size"] for row in traced})
    return [
        row
        for (*_, size), members in grouped(traced, "run", "learning rate", "batch size").items()
        if size in chosen
        for row in _evaluations_of(_middle(members))
    ]


def spread_out(batch_sizes: Iterable[int]) -> list[int]:
    """At most as many as there are colours, the smallest and the largest among them."""
    sizes = sorted(batch_sizes)
    places = np.linspace(0, len(sizes) - 1, min(TRACED_BATCH_SIZES, len(sizes)))
    return [sizes[round(place)] for place in places]


def _middle(seeds: Sequence[Row]) -> Row:
    inner = sorted(seeds, key=lambda row: (not row["reached"], row["seconds"]))
    return inner[len(inner) // 2]


def _evaluations_of(seed: Row) -> list[Row]:
    return [
        {key: seed[key] for key in ("run", "learning rate", "batch size", "seed")}
        | {
            "seconds": train_seconds,
            "missed": max(1 - accuracy, SMALLEST_ERROR),
            "time": seconds(train_seconds),
            "steps": f"{steps:,}",
            "test accuracy": f"{accuracy:.4f}",
        }
        for train_seconds, steps, accuracy in seed["trace"]
        if train_seconds > 0
    ]


def peaks(runs: Runs) -> list[Row]:
    """Return a row for each engine and batch size: peak memory of an epoch, else of a step."""
    found = {
        (run, case.engine, case.batch_size): case
        for verb in ("step", "epoch")
        for run, case in select(runs, verb)
    }
    rows = []
    for (run, engine, size), case in found.items():
        on_gpu = case.peak_cuda_bytes is not None
        peak = case.peak_memory_bytes if case.peak_cuda_bytes is None else case.peak_cuda_bytes
        rows.append(
            {
                "run": run,
                "engine": engine,
                "batch size": size,
                "megabytes": max(peak / 1e6, SMALLEST_MEGABYTES),
                "peak memory": megabytes(peak),
                "of": "GPU" if on_gpu else "process",
            }
        )
    return rows
