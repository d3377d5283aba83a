"""Several saved runs beside each other: their times by date and commit, and which of them moved."""

import math
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from bench.report.rows import Row, spread_out
from bench.runs.case import MeasuredCase
from bench.runs.files import SavedRun
from bench.runs.seeds import Seeds, by_series, engines, fastest, of_verb
from bench.units import counted, seconds

FEWEST_REPLICATES = 3  # timed calls, or seeds, from which a spread can be told
TREND_SIZES = 3  # batch sizes with a trend
MOST_RUNS = 6  # columns of the comparison

SavedRuns = Mapping[str, SavedRun]  # a run's name -> the run, the newest first


class Subject(NamedTuple):
    """The columns that say what was timed: equal in runs that can be compared."""

    timed: str
    engine: str
    batch_size: str
    setting: str


class Time(NamedTuple):
    """A median time, the range of its replicates, and whether other processes disturbed it."""

    seconds: float
    low: float
    high: float
    replicates: int
    is_disturbed: bool
    more: str = ""

    def __str__(self) -> str:
        """Write the time, with a star if it was disturbed."""
        written = seconds(self.seconds) if self.seconds < math.inf else "not reached"
        return written + "*" * self.is_disturbed + self.more

    def change(self, old: "Time") -> str:
        """Write by how much the time moved, "+12 %"; empty if the ranges overlap or are unknown."""
        is_known = min(self.replicates, old.replicates) >= FEWEST_REPLICATES
        overlap = self.low <= old.high and old.low <= self.high
        if not is_known or overlap or self.is_disturbed or old.is_disturbed:
            return ""
        if math.inf in {self.seconds, old.seconds}:
            return ""
        return f"{100 * (self.seconds / old.seconds - 1):+.0f} %"


def setting(case: MeasuredCase) -> str:
    """Name the data, the device and the threads of a case."""
    return f"{case.data}, {case.device}, {counted(case.threads, 'thread')}"


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


def times(run: SavedRun) -> dict[Subject, Time]:
    """Return the best time to the target of each series, and the time of each step and epoch."""
    found = {}
    for (engine, rule), sizes in by_series(run.cases).items():
        best, first = fastest(sizes), sizes[0].cases[0]
        goal = f"to {first.score_name} {first.target_score:g}, {rule} rate"
        found[Subject(goal, engine, "best", setting(first))] = _of_seeds(best)
    for verb in ("step", "epoch"):
        for engine in engines(run.cases):
            for case in of_verb(run.cases, verb, engine):
                low, high = case.quartile_seconds or (case.seconds, case.seconds)
                subject = Subject(verb, engine, str(case.batch_size), setting(case))
                found[subject] = Time(case.seconds, low, high, case.rounds, bool(case.disturbed))
    return found


def _of_seeds(trained: Seeds) -> Time:
    spent = trained.seconds
    is_disturbed = any(case.disturbed for case in trained.cases)
    at = f" at {trained.batch_size}" * (not trained.is_censored)
    return Time(trained.median_seconds, min(spent), max(spent), len(spent), is_disturbed, at)


def comparison(runs: SavedRuns) -> list[Row]:
    """Return a row for each subject of the newest runs, with a cell for each run by its label.

    A cell says by how much its time moved since the next older run of an equal machine.
    """
    names = labels(runs)
    newest = dict(islice(runs.items(), MOST_RUNS))
    timed = {name: times(run) for name, run in newest.items()}
    subjects = dict.fromkeys(subject for found in timed.values() for subject in found)
    return [
        {heading.replace("_", " "): text for heading, text in subject._asdict().items()}
        | {names[name]: _cell(subject, name, newest, timed) for name in newest}
        | {"to target": subject.batch_size == "best"}
        for subject in subjects
    ]


def _cell(
    subject: Subject, name: str, runs: SavedRuns, timed: Mapping[str, Mapping[Subject, Time]]
) -> str:
    if subject not in timed[name]:
        return ""
    older = list(runs)[list(runs).index(name) + 1 :]
    for other in older:
        if subject in timed[other] and runs[other].machine == runs[name].machine:
            change = timed[name][subject].change(timed[other][subject])
            return f"{timed[name][subject]}" + (f" ({change})" if change else "")
    return str(timed[name][subject])


def trend(runs: SavedRuns, verb: str) -> dict[int, list[Row]]:
    """Return rows from the oldest run on, for some batch sizes of the newest run."""
    names = labels(runs)
    newest = next(iter(runs.values()))
    sizes = spread_out({case.batch_size for case in of_verb(newest.cases, verb)}, TREND_SIZES)
    return {
        size: [
            {
                "run": names[name],
                "machine": run.machine["cpu"] or "",
                "group": f"{[*run.machine.values()]} {setting(case)}",
                "engine": case.engine,
                "batch size": size,
                "seconds": case.seconds,
                "time": seconds(case.seconds),
            }
            for name, run in reversed(list(runs.items()))
            for engine in engines(run.cases)
            for case in of_verb(run.cases, verb, engine)
            if case.batch_size == size
        ]
        for size in sizes
    }
