"""The verdict of saved runs: which batch size trained fastest, and what common choices cost."""

import math
from collections.abc import Sequence
from itertools import zip_longest

from bench.report import history
from bench.report.history import SavedRuns
from bench.report.rows import Row
from bench.report.tables import over_seeds
from bench.runs.seeds import Seeds, by_series
from bench.units import listed, seconds

COMMON_SIZES = (32, 256)  # the usual default, and the question's rule sqrt(60000), rounded up
HEADINGS = (
    *("engine", "learning rate", "run", "target", "best batch size", "time to target"),
    *("over seeds", "too close to call", *(f"at {size}" for size in COMMON_SIZES)),
)


def headings(rows: Sequence[Row]) -> list[str]:
    """Return the columns that are not empty, without those that name a single run or target."""
    values = {heading: {row[heading] for row in rows} for heading in HEADINGS}
    return [
        heading
        for heading, cells in values.items()
        if cells != {""} and (len(cells) > 1 or heading not in {"run", "target"})
    ]


def verdict(runs: SavedRuns) -> list[Row]:
    """Return a row for each engine, learning rate rule and run; the newest run comes first."""
    names = history.labels(runs)
    series: dict[tuple[str, str], list[tuple[str, list[Seeds]]]] = {}
    for name, saved in runs.items():
        for key, sizes in by_series(saved.cases).items():
            series.setdefault(key, []).append((names[name], sizes))
    rows = []
    for (engine, rule), trained in series.items():
        for (run, sizes), (_, older) in zip_longest(trained, trained[1:], fillvalue=("", [])):
            rows.append({"engine": engine, "learning rate": rule, "run": run} | _row(sizes, older))
    return rows


def _best(sizes: Sequence[Seeds]) -> Seeds:
    return min(sizes, key=lambda trained: trained.median_seconds)


def _row(sizes: Sequence[Seeds], older: Sequence[Seeds]) -> Row:
    """Write the best batch size, its time, its rivals, and what the common sizes cost.

    Args:
        sizes: the trainings of a run.
        older: those of the next older run; empty without one.

    """
    best, first = _best(sizes), sizes[0].cases[0]
    row: Row = {"target": f"{first.score_name} {first.target_score:g}"}
    if best.is_censored:
        closest = max(sizes, key=lambda trained: trained.missed_score)
        score = f"{closest.missed_score:#.3g} at {closest.batch_size}"
        row |= {"best batch size": "none", "time to target": f"not reached ({score})"}
        return dict.fromkeys(HEADINGS, "") | row
    before = history.of_seeds(_best(older)) if older else None
    moved = history.change(history.of_seeds(best), before)
    return row | {
        "best batch size": f"{best.batch_size}",
        "time to target": seconds(best.median_seconds) + moved,
        "over seeds": over_seeds(best),
        "too close to call": _rivals(sizes, best),
        **{f"at {size}": _cost(sizes, best, size) for size in COMMON_SIZES},
    }


def _rivals(sizes: Sequence[Seeds], best: Seeds) -> str:
    """Name the batch sizes whose seeds overlap those of the best."""
    if all(len(trained.cases) == 1 for trained in sizes):
        return "one seed cannot tell"
    rivals = [each.batch_size for each in sizes if each is not best and each.overlaps(best)]
    return listed(rivals) if rivals else ""


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
    below = max((size for size in times if size < batch_size), default=None)
    above = min((size for size in times if size > batch_size), default=None)
    if below is None or above is None or math.inf in {times[below], times[above]}:
        return ""
    share = math.log(batch_size / below) / math.log(above / below)
    between = times[below] ** (1 - share) * times[above] ** share
    return f"about {between / best.median_seconds:.1f} times"
