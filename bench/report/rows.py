"""The cases of a run as rows: the marks of figures, with numbers and their text."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from bench.laws import laws
from bench.laws.laws import Law, LawError
from bench.runs.case import ACCURACY, MeasuredCase
from bench.runs.seeds import Seeds, by_series, engines, median_over_seeds, of_verb, step_seconds
from bench.units import megabytes, seconds

Cases = Sequence[MeasuredCase]
Row = dict[str, Any]

TRACED_BATCH_SIZES = 6  # the number of colours
# A logarithmic axis has no 0.
SMALLEST_ERROR = 1e-4  # one sample of MNIST's test set
SMALLEST_MEGABYTES = 0.1
WRITE = {"seconds": seconds, "steps": "{:,.0f}".format}


def timed(cases: Cases) -> list[Row]:
    """Return a row for each engine and batch size: its epoch, or its step where there is none."""
    latest = {
        (engine, case.batch_size): case
        for engine in engines(cases)
        for verb in ("step", "epoch")
        for case in of_verb(cases, verb, engine)
    }
    rows = []
    for (engine, size), case in latest.items():
        peak = case.peak_memory_bytes if case.peak_cuda_bytes is None else case.peak_cuda_bytes
        rows.append(
            {
                "engine": engine,
                "batch size": size,
                "verb": case.verb,
                "seconds": case.seconds,
                "epoch": seconds(case.seconds) + "*" * bool(case.disturbed),
                "samples per second": f"{case.samples_per_second:,.0f}",
                "megabytes": max(peak / 1e6, SMALLEST_MEGABYTES),
                "peak memory": megabytes(peak),
                "of": f"{case.verb}, {'process' if case.peak_cuda_bytes is None else 'GPU'}",
            }
        )
    return rows


def epoch_curves(cases: Cases) -> list[Row]:
    """Return points on steps per epoch times the law of step time, of each engine that has one."""
    curves = []
    for engine in engines(of_verb(cases, "epoch")):
        samples = of_verb(cases, "epoch", engine)[0].samples
        with suppress(LawError):
            law = laws.fit_step_time(step_seconds(cases, engine, "epoch"))
            curves += [
                {
                    "engine": engine,
                    "batch size": size,
                    "seconds": samples / size * law.seconds(size),
                }
                for size in _along(law)
            ]
    return curves


def _along(law: Law) -> list[float]:
    """Return batch sizes as far as the law was fitted."""
    sizes: list[float] = np.geomspace(min(law.misfits), max(law.misfits), num=60).tolist()
    return sizes


def series(cases: Cases) -> list[tuple[str, str, list[Seeds]]]:
    """Return the name of each series, its learning rate rule, and its batch sizes."""
    trained = by_series(cases)
    several = len({engine for engine, _ in trained}) > 1
    return [
        (f"{rule}, {engine}" if several else rule, rule, sizes)
        for (engine, rule), sizes in trained.items()
    ]


def _spent(case: MeasuredCase, field: str) -> float:
    return case.seconds if field == "seconds" else max(case.steps, 1)


def medians(cases: Cases, field: str) -> list[Row]:
    """Return a row for each batch size, with None for a median that missed the target.

    Args:
        cases: the run whose trainings are shown.
        field: "seconds" or "steps" to the target.

    """
    rows, write = [], WRITE[field]
    for name, _, sizes in series(cases):
        for trained in sizes:
            spent = sorted(_spent(case, field) for case in trained.cases)
            median = median_over_seeds(
                _spent(case, field) if case.reached else math.inf for case in trained.cases
            )
            is_known = median < math.inf
            rows.append(
                {
                    "learning rate": name,
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


def misses(cases: Cases, field: str) -> list[Row]:
    """Return a row for each seed that missed the target, at what it spent."""
    return [
        {
            "learning rate": name,
            "batch size": case.batch_size,
            "seed": case.seed,
            field: _spent(case, field),
            "spent": f"{seconds(case.seconds)}, {case.steps:,} steps",
            "test score": f"{case.test_score:#.4g}",
        }
        for name, _, sizes in series(cases)
        for trained in sizes
        for case in trained.cases
        if not case.reached
    ]


def steps_curves(cases: Cases) -> list[Row]:
    """Return points on the law of steps to target, of each rule whose rates suit the batch size."""
    curves: list[Row] = []
    for name, rule, sizes in series(cases):
        if rule != "fixed":
            with suppress(LawError):
                law = laws.fit_steps_to_target({each.batch_size: each.steps for each in sizes})
                curves += [
                    {"learning rate": name, "batch size": at, "steps": law.steps(at)}
                    for at in _along(law)
                ]
    return curves


def evaluations(cases: Cases) -> list[Row]:
    """Return a row for each evaluation, of the middle seed of a few batch sizes.

    Only accuracies have a place on the axis, which shows what is missing to 1.
    """
    middles = [(name, trained.middle) for name, _, sizes in series(cases) for trained in sizes]
    chosen = spread_out({case.batch_size for _, case in middles if case.trace})
    return [
        {
            "learning rate": name,
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
    """Choose at most `most` batch sizes, the smallest and the largest among them."""
    sizes = sorted(batch_sizes)
    places = np.linspace(0, len(sizes) - 1, min(most, len(sizes)))
    return [sizes[round(place)] for place in places]
