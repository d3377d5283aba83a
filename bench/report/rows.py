"""Saved runs as rows: the marks of figures, with numbers and their text."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from bench.laws import laws
from bench.laws.laws import Law, LawError
from bench.runs.case import ACCURACY, MeasuredCase
from bench.runs.seeds import Seeds, by_series, engines, median_over_seeds, of_verb, step_seconds
from bench.units import megabytes, seconds

Runs = Mapping[str, Sequence[MeasuredCase]]  # a run's name -> its cases
Row = dict[str, Any]

TRACED_BATCH_SIZES = 6  # the number of colours
# A logarithmic axis has no 0.
SMALLEST_ERROR = 1e-4  # one sample of MNIST's test set
SMALLEST_MEGABYTES = 0.1
WRITE = {"seconds": seconds, "steps": "{:,.0f}".format}


def timed(runs: Runs) -> list[Row]:
    """Return a row for each engine and batch size: its epoch, or its step where there is none."""
    cases = {
        (run, case.engine, case.batch_size): case
        for run, measured in runs.items()
        for engine in engines(measured)
        for verb in ("step", "epoch")
        for case in of_verb(measured, verb, engine)
    }
    rows = []
    for (run, engine, size), case in cases.items():
        peak = case.peak_memory_bytes if case.peak_cuda_bytes is None else case.peak_cuda_bytes
        rows.append(
            {
                "run": run,
                "engine": engine,
                "batch size": size,
                "verb": case.verb,
                "seconds": case.seconds,
                "epoch": seconds(case.seconds),
                "samples per second": f"{case.samples_per_second:,.0f}",
                "megabytes": max(peak / 1e6, SMALLEST_MEGABYTES),
                "peak memory": megabytes(peak),
                "of": "process" if case.peak_cuda_bytes is None else "GPU",
            }
        )
    return rows


def epoch_curves(runs: Runs) -> list[Row]:
    """Return points on steps per epoch times the law of step time, of each engine that has one."""
    curves = []
    for run, cases in runs.items():
        for engine in engines(of_verb(cases, "epoch")):
            samples = of_verb(cases, "epoch", engine)[0].samples
            with suppress(LawError):
                law = laws.fit_step_time(step_seconds(cases, engine, "epoch"))
                curves += [
                    {"run": run, "engine": engine, "batch size": size}
                    | {"seconds": samples / size * law.seconds(size)}
                    for size in _along(law)
                ]
    return curves


def _along(law: Law) -> list[float]:
    """Return batch sizes as far as the law was fitted."""
    sizes: list[float] = np.geomspace(min(law.misfits), max(law.misfits), num=60).tolist()
    return sizes


def series(runs: Runs) -> list[tuple[Row, str, list[Seeds]]]:
    """Return the fields that name each series, its learning rate rule, and its batch sizes."""
    trained = {run: by_series(cases) for run, cases in runs.items()}
    several = len({engine for groups in trained.values() for engine, _ in groups}) > 1
    return [
        ({"run": run, "learning rate": f"{rule}, {engine}" if several else rule}, rule, sizes)
        for run, groups in trained.items()
        for (engine, rule), sizes in groups.items()
    ]


def _spent(case: MeasuredCase, field: str) -> float:
    return case.seconds if field == "seconds" else max(case.steps, 1)


def medians(runs: Runs, field: str) -> list[Row]:
    """Return a row for each batch size, with None for a median that missed the target.

    Args:
        runs: the runs whose trainings are shown.
        field: "seconds" or "steps" to the target.

    """
    rows, write = [], WRITE[field]
    for name, _, sizes in series(runs):
        for trained in sizes:
            spent = sorted(_spent(case, field) for case in trained.cases)
            median = median_over_seeds(
                _spent(case, field) if case.reached else math.inf for case in trained.cases
            )
            is_known = median < math.inf
            rows.append(
                name
                | {
                    "batch size": trained.batch_size,
                    field: median if is_known else None,
                    "least": spent[0],
                    "most": spent[-1],
                    "median": write(median) if is_known else "not reached",
                    "over seeds": f"{write(spent[0])} to {write(spent[-1])}",
                    "reached by": f"{trained.reached} of {len(trained.cases)} seeds",
                }
            )
    return rows


def misses(runs: Runs, field: str) -> list[Row]:
    """Return a row for each seed that missed the target, at what it spent."""
    return [
        name
        | {
            "batch size": case.batch_size,
            "seed": case.seed,
            field: _spent(case, field),
            "spent": f"{seconds(case.seconds)}, {case.steps:,} steps",
            "test score": f"{case.test_score:#.4g}",
        }
        for name, _, sizes in series(runs)
        for trained in sizes
        for case in trained.cases
        if not case.reached
    ]


def steps_curves(runs: Runs) -> list[Row]:
    """Return points on the law of steps to target, of each rule whose rates suit the batch size."""
    curves = []
    for name, rule, sizes in series(runs):
        with suppress(LawError):
            law = laws.fit_steps_to_target({trained.batch_size: trained.steps for trained in sizes})
            if rule != "fixed":
                points = _along(law)
                curves += [name | {"batch size": at, "steps": law.steps(at)} for at in points]
    return curves


def evaluations(runs: Runs) -> list[Row]:
    """Return a row for each evaluation, of the middle seed of a few batch sizes.

    Only accuracies have a place on the axis, which shows what is missing to 1.
    """
    middles = [(name, trained.middle) for name, _, sizes in series(runs) for trained in sizes]
    chosen = spread_out({case.batch_size for _, case in middles if case.trace})
    return [
        name
        | {
            "batch size": case.batch_size,
            "seed": case.seed,
            "seconds": train_seconds,
            "missed": max(1 - accuracy, SMALLEST_ERROR),
            "time": seconds(train_seconds),
            "steps": f"{steps:,}",
            "test accuracy": f"{accuracy:.4f}",
        }
        for name, case in middles
        if case.batch_size in chosen and case.score_name == ACCURACY
        for train_seconds, steps, accuracy in case.trace
        if train_seconds > 0
    ]


def spread_out(batch_sizes: Iterable[int], most: int = TRACED_BATCH_SIZES) -> list[int]:
    """Choose at most so many batch sizes, the smallest and the largest among them."""
    sizes = sorted(batch_sizes)
    places = np.linspace(0, len(sizes) - 1, min(most, len(sizes)))
    return [sizes[round(place)] for place in places]
