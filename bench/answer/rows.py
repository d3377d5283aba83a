"""Saved runs as rows: a mark of a figure each, with its numbers and how they read."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from bench.answer import time_model
from bench.answer.time_model import Benchmarks, LawError
from bench.units import seconds

Runs = Mapping[str, Benchmarks]  # a run's name -> its cases
Row = dict[str, Any]

CURVE_POINTS = 60
TRACED_BATCH_SIZES = 6  # as many as there are colours
SMALLEST_ERROR = 1e-4  # one sample of MNIST's test set: a logarithmic axis has no 0
SMALLEST_MEGABYTES = 0.1  # for the same reason


def select(runs: Runs, verb: str) -> Iterator[tuple[str, Mapping[str, Any], float]]:
    """Run's name, extra_info and median seconds of every case of a verb, by batch size."""
    for run, cases in runs.items():
        ours = [case for case in cases if case["name"].partition("[")[0] == f"test_{verb}"]
        for case in sorted(ours, key=lambda case: case["extra_info"]["batch_size"]):
            yield run, case["extra_info"], case["stats"]["median"]


def grouped(rows: Iterable[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows that agree in these keys."""
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return dict(groups)


def epochs(runs: Runs) -> list[Row]:
    """A row a timed epoch."""
    return [
        {
            "run": run,
            "engine": info["engine"],
            "batch size": info["batch_size"],
            "seconds": median,
            "epoch": seconds(median),
            "samples": round(info["samples_per_second"] * median),
            "samples a second": f"{info['samples_per_second']:,.0f}",
        }
        for run, info, median in select(runs, "epoch")
    ]


def epoch_curves(runs: Runs, epochs: Sequence[Row]) -> list[Row]:
    """Points on steps an epoch times the law of step time, of each engine that has one."""
    curves = []
    for (run, engine), members in grouped(epochs, "run", "engine").items():
        with suppress(LawError):
            law = time_model.fit_step_time(time_model.step_seconds(runs[run], engine))
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
    """A row a seed that trained to the target."""
    several_engines = len({info["engine"] for _, info, _ in select(runs, "convergence")}) > 1
    rows = []
    for run, info, median in select(runs, "convergence"):
        engine, rule = info["engine"], info.get("lr_rule", "fixed")
        rows.append(
            {
                "run": run,
                "engine": engine,
                "rule": rule,
                "learning rate": f"{rule}, {engine}" if several_engines else rule,
                "batch size": info["batch_size"],
                "seed": info["seed"],
                "seconds": median,
                "steps": max(info["steps"], 1),  # on a logarithmic axis
                "reached": info["reached"],
                "target": info["target_accuracy"],
                "spent": f"{seconds(median)}, {info['steps']:,} steps",
                "test accuracy": f"{info['test_accuracy']:.4f}",
                "trace": info.get("trace") or [],
            }
        )
    return rows


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
        median = statistics.median_high(reached + missed)
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
    """Points on the law of steps to target, of each learning rate rule that has one."""
    curves = []
    for run, engine, rule, series in grouped(seeds, "run", "engine", "rule", "learning rate"):
        if rule == "fixed":
            continue  # the law is of rates that suit the batch size
        with suppress(LawError):
            steps = time_model.steps_to_target(runs[run], engine, rule)
            law = time_model.fit_steps_to_target(steps)
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
        if train_seconds > 0 and math.isfinite(accuracy)
    ]


def peaks(runs: Runs) -> list[Row]:
    """A row an engine and batch size: peak memory of an epoch, else of a step."""
    found = {
        (run, info["engine"], info["batch_size"]): info
        for verb in ("step", "epoch")
        for run, info, _ in select(runs, verb)
    }
    rows = []
    for (run, engine, size), info in found.items():
        megabytes = info.get("peak_cuda_bytes", info["peak_memory_bytes"]) / 1e6
        rows.append(
            {
                "run": run,
                "engine": engine,
                "batch size": size,
                "megabytes": max(megabytes, SMALLEST_MEGABYTES),
                "peak memory": f"{megabytes:,.1f} MB",
                "of": "GPU" if "peak_cuda_bytes" in info else "process",
            }
        )
    return rows
