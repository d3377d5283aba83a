"""A run as tables: one for each engine, with a row for each batch size."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.runs import seeds
from bench.runs.case import MeasuredCase
from bench.runs.files import REPORTED
from bench.runs.seeds import Seeds, median_over_seeds
from bench.units import counted, listed, megabytes, seconds, table, wrapped

HEADINGS = ("step", "epoch", "samples/s", "memory", "of floor")
NOTHING = "-"


class LeftOut(NamedTuple):
    """A case that was not measured, and why."""

    verb: str
    engine: str
    batch_size: int
    reason: str


def of_engines(
    cases: Sequence[MeasuredCase], left_out: Sequence[LeftOut], *, details: bool
) -> list[str]:
    """Lay out a table for each engine, in the order in which engines ran."""
    timed = [case for case in cases if case.verb in REPORTED]
    lines = []
    for engine in seeds.engines(timed):
        missing = [(verb, size) for verb, name, size, _ in left_out if name == engine]
        own = [case for case in timed if case.engine == engine]
        lines += _of_engine(own, missing, details=details)
    return lines


def _of_engine(
    cases: Sequence[MeasuredCase], missing: Iterable[tuple[str, int]], *, details: bool
) -> list[str]:
    first, series = cases[0], seeds.by_series(cases)
    title = f"{first.engine} engine: {first.data}, {first.device}, "
    title += counted(first.threads, "thread")
    rows: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for verb in ("step", "epoch"):  # an epoch's throughput and memory replace those of a step
        for case in seeds.of_verb(cases, verb):
            rows[case.batch_size] |= _timed(case)
    for (_, rule), sizes in series.items():
        for trained in sizes:
            rows[trained.batch_size] |= _trained(rule, trained)
    if series:
        training = next(iter(series.values()))[0].cases[0]
        title += f"; time to {training.score_name} {training.target_score:g}"
    rules = [f"{rule} rate" for _, rule in series]
    for verb, size in missing:
        for heading in rules if verb == "convergence" else [verb]:
            rows[size].setdefault(heading, "left out")
    filled = dict.fromkeys(heading for size in sorted(rows) for heading in rows[size])
    headings = [
        heading
        for heading in dict.fromkeys([*HEADINGS, *filled])
        if heading in filled and (details or ": " not in heading)
    ]
    columns = [
        [name, *(rows[size].get(name, NOTHING) for size in sorted(rows))] for name in headings
    ]
    return table(title, [["batch", *map(str, sorted(rows))], *columns])


def _timed(case: MeasuredCase) -> Mapping[str, str]:
    """Write the cells of a step or an epoch."""
    cells = {
        f"{case.verb}: rounds": f"{case.rounds}",
        case.verb: seconds(case.seconds) + "*" * bool(case.disturbed),
        "samples/s": f"{case.samples_per_second:,.0f}",
        "memory": megabytes(case.peak_memory_bytes),
    }
    if case.floor_fraction is not None:
        cells["of floor"] = f"{case.floor_fraction:.2f}"
    if case.form:
        threads = counted(case.form_threads or 1, "thread")
        cells[f"{case.verb}: form"] = f"{case.form}, {threads}"
    return cells


def _trained(rule: str, trained: Seeds) -> Mapping[str, str]:
    """Write the cells of a batch size that trained to the target."""
    mark = "*" * any(case.disturbed for case in trained.cases)
    outcome = seconds(trained.median_seconds)
    if trained.is_censored:
        missed = "diverged" if trained.diverged else "not reached"
        outcome = f"{missed} ({trained.missed_score:#.3g})"
    steps = median_over_seeds(trained.steps)
    left_out = sum(case.seeds_left_out for case in trained.cases)
    return {
        f"{rule} rate": outcome + mark,
        f"{rule}: rate": f"{trained.cases[0].learning_rate:.3g}",
        f"{rule}: seeds": f"{trained.reached} of {len(trained.cases)}"
        + f", {left_out} left out" * bool(left_out),
        f"{rule}: over seeds": over_seeds(trained),
        f"{rule}: steps": NOTHING if trained.is_censored else f"{steps:,.0f}",
    }


def over_seeds(trained: Seeds) -> str:
    """Write the times of the fastest and the slowest seed; a single seed has no range."""
    fastest, slowest = min(trained.seconds), max(trained.seconds)
    if len(trained.cases) == 1 or fastest == math.inf:
        return NOTHING
    return f"{seconds(fastest)} to {seconds(slowest) if slowest < math.inf else 'never'}"


def reasons(left_out: Iterable[LeftOut]) -> list[str]:
    """Write why cases were left out, each reason once."""
    subjects: dict[str, dict[str, None]] = {}
    for verb, engine, _, reason in left_out:
        subjects.setdefault(reason, {})[f"{engine} {verb}".strip()] = None
    sentences = [
        f"Left out, {listed(list(names))}: {reason.rstrip('.')}."
        for reason, names in subjects.items()
    ]
    return [line for sentence in sentences for line in wrapped(sentence)]
