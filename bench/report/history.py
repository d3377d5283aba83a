"""Several saved runs beside each other: their times by date and commit, and which of them moved."""

import math
from collections.abc import Mapping
from itertools import zip_longest
from typing import NamedTuple

from bench.report.rows import Row, spread_out
from bench.runs.case import MeasuredCase
from bench.runs.files import SavedRun
from bench.runs.seeds import Seeds, engines, of_verb
from bench.units import seconds

FEWEST_REPLICATES = 3  # timed calls, or seeds, from which a spread can be told
TREND_SIZES = 3  # batch sizes in a trend: more lines could not be told apart

SavedRuns = Mapping[str, SavedRun]  # a run's name -> the run, the newest first


class Spread(NamedTuple):
    """A median time, and the range of its replicates."""

    seconds: float
    low: float
    high: float
    replicates: int


def of_case(case: MeasuredCase) -> Spread:
    """Take the middle half of a case's timed calls as their range."""
    low, high = case.quartile_seconds or (case.seconds, case.seconds)
    return Spread(case.seconds, low, high, case.rounds)


def of_seeds(trained: Seeds) -> Spread:
    """Take the fastest and the slowest seed as the range."""
    times = trained.seconds
    return Spread(trained.median_seconds, min(times), max(times), len(times))


def change(new: Spread, old: Spread | None) -> str:
    """Write by how much a time moved, " (+12 %)"; nothing where the ranges overlap."""
    if old is None or min(new.replicates, old.replicates) < FEWEST_REPLICATES:
        return ""
    overlap = new.low <= old.high and old.low <= new.high
    if overlap or math.inf in {new.seconds, old.seconds}:
        return ""
    return f" ({100 * (new.seconds / old.seconds - 1):+.0f} %)"


def labels(runs: SavedRuns) -> dict[str, str]:
    """Label each run by date and commit, and by its name where these do not tell runs apart."""
    short = {
        name: f"{run.when[:16].replace('T', ' ')} {run.commit}".strip()
        for name, run in runs.items()
    }
    taken = list(short.values())
    return {
        name: label if taken.count(label) == 1 else f"{label} {name}"
        for name, label in short.items()
    }


def comparison(runs: SavedRuns) -> list[Row]:
    """Return a row for each step and epoch that was timed, with a cell for each run by its label.

    A cell says by how much its time moved since the next older run that has the case.
    """
    names = labels(runs)
    timed: dict[tuple[str, str, int], dict[str, Spread]] = {}
    for name, run in runs.items():
        for verb in ("step", "epoch"):
            for case in of_verb(run.cases, verb):
                times = timed.setdefault((verb, case.engine, case.batch_size), {})
                times[names[name]] = of_case(case)
    return [
        {"timed": verb, "engine": engine, "batch size": size}
        | dict.fromkeys(names.values(), "")
        | {
            label: seconds(new.seconds) + change(new, old)
            for (label, new), old in zip_longest(times.items(), list(times.values())[1:])
        }
        for (verb, engine, size), times in sorted(timed.items())
    ]


def trend(runs: SavedRuns, verb: str) -> list[Row]:
    """Return a row for each run, engine and chosen batch size, from the oldest run on."""
    names = labels(runs)
    timed = {name: of_verb(run.cases, verb) for name, run in runs.items()}
    sizes = {case.batch_size for cases in timed.values() for case in cases}
    chosen = spread_out(sizes, TREND_SIZES)
    return [
        {
            "run": names[name],
            "processor": run.machine["cpu"],
            "engine": case.engine,
            "batch size": case.batch_size,
            "seconds": case.seconds,
            "time": seconds(case.seconds),
        }
        for name, run in reversed(list(runs.items()))
        for engine in engines(run.cases)
        for case in of_verb(timed[name], verb, engine)
        if case.batch_size in chosen
    ]
