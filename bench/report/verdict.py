"""The verdict of a run: which batch size trained fastest, and what common choices cost."""

import math
from collections.abc import Sequence

from bench.report.history import FEWEST_REPLICATES
from bench.report.rows import Cases, Row
from bench.report.tables import over_seeds
from bench.runs.seeds import Seeds, by_series, fastest
from bench.units import counted, listed, seconds

COMMON_SIZES = (32, 256)  # the usual default, and the rule of thumb sqrt(60000), rounded up
FARTHEST = 16  # the largest ratio of two batch sizes between which a time is interpolated
COMMON = tuple(f"at {size}" for size in COMMON_SIZES)
HEADINGS = (
    *("engine", "learning rate", "target", "best batch size", "time to target"),
    *("over seeds", "too close to call", *COMMON),
)


def verdict(cases: Cases) -> list[Row]:
    """Return a row for each engine and learning rate rule."""
    return [
        dict.fromkeys(HEADINGS, "") | {"engine": engine, "learning rate": rule} | _row(sizes)
        for (engine, rule), sizes in by_series(cases).items()
    ]


def headings(rows: Sequence[Row]) -> list[str]:
    """Return the columns that are not empty, without a target that all rows share."""
    values = {heading: {row[heading] for row in rows} for heading in HEADINGS}
    return [
        heading
        for heading, cells in values.items()
        if cells != {""} and (heading != "target" or len(cells) > 1)
    ]


def _row(sizes: Sequence[Seeds]) -> Row:
    """Write the best batch size, its time, its rivals, and what the common sizes cost."""
    best, first = fastest(sizes), sizes[0].cases[0]
    row: Row = {"target": f"{first.score_name} {first.target_score:g}"}
    if best.is_censored:
        closest = max(sizes, key=lambda trained: trained.missed_score)
        score = f"{closest.missed_score:#.3g} at {closest.batch_size}"
        return row | {"best batch size": "none", "time to target": f"not reached ({score})"}
    is_disturbed = any(case.disturbed for case in best.cases)
    return row | {
        "best batch size": f"{best.batch_size}",
        "time to target": seconds(best.median_seconds) + "*" * is_disturbed,
        "over seeds": over_seeds(best),
        "too close to call": _rivals(sizes, best),
        **{name: _cost(sizes, best, size) for name, size in zip(COMMON, COMMON_SIZES, strict=True)},
    }


def _rivals(sizes: Sequence[Seeds], best: Seeds) -> str:
    """Name the batch sizes whose seeds overlap those of the best."""
    if len(best.cases) < FEWEST_REPLICATES:
        return f"{counted(len(best.cases), 'seed')} cannot tell"
    rivals = [each.batch_size for each in sizes if each is not best and each.overlaps(best)]
    return listed(rivals) if rivals else "none"


def _cost(sizes: Sequence[Seeds], best: Seeds, batch_size: int) -> str:
    """Write how many times as long as the best a batch size takes.

    Between two sizes that reached the target, the logarithm of time is interpolated.
    """
    times = {trained.batch_size: trained.median_seconds for trained in sizes}
    if batch_size == best.batch_size:
        return "the best"
    if batch_size in times:
        ratio = times[batch_size] / best.median_seconds
        return "not reached" if ratio == math.inf else f"{ratio:.1f} times"
    below = max((size for size in times if size < batch_size), default=0)
    above = min((size for size in times if size > batch_size), default=0)
    if not 0 < above <= FARTHEST * below or math.inf in {times[below], times[above]}:
        return ""
    share = math.log(batch_size / below) / math.log(above / below)
    between = times[below] ** (1 - share) * times[above] ** share
    return f"about {between / best.median_seconds:.1f} times"
