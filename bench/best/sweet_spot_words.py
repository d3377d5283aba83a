"""The best batch size, what others cost beside it, and how training there went: in words."""

import math
from collections.abc import Iterator, Sequence

from rich.table import Table

from bench.best.race import rule_of_thumb
from bench.best.sweet_spot import Found
from bench.laws import laws, steps_law
from bench.laws.laws import TOLERANCE
from bench.laws.line import Estimate, LawError
from bench.laws.steps_law import Runs
from bench.laws.time_to_target import WITHIN, Regret
from bench.runs.seeds import median_over_seeds
from bench.units import listed, per_cent, seconds

OTHERS = (32, 128)  # usual choices, beside the square root of the training set


def report(found: Found, *, samples: int, runs: Runs) -> Iterator[Table | str]:
    """Yield a table and sentences.

    Args:
        found: for one engine.
        samples: of the training set.
        runs: the steps of the reference, for the laws.

    """
    yield table(found)
    predicted, best = found.predicted, found.predicted.best
    yield (
        f"Batch size {best} is predicted to train fastest with the {found.engine} engine: "
        f"{seconds(predicted.seconds[best].value)} to test accuracy {found.target:g} (95 % "
        f"interval {_reach(predicted.seconds[best])})."
    )
    low, high = predicted.best_interval
    yield (
        f"With steps and seconds drawn anew from what was measured, the best of these sizes lies "
        f"from {low} to {high} in 95 % of the draws."
    )
    yield from _plateau(list(predicted.regrets.values()), best)
    yield _laws(found, runs)
    yield _thumbs(found, samples)
    if found.run_seconds:
        yield _confirmed(found)


def table(found: Found) -> Table:
    """Lay out a row for each batch size."""
    table = Table(title=f"{found.engine} engine", title_justify="left", title_style="bold")
    headings = ("batch size", "rate", "steps", "one step", "to target", "95 %", "times the best")
    for heading in headings:
        table.add_column(heading, justify="right")
    predicted = found.predicted
    for place, size in enumerate(predicted.batch_sizes):
        table.add_row(
            f"{size}",
            f"{found.rates[size]:.3g}",
            f"{predicted.steps[place]:,.0f}",
            seconds(predicted.step_seconds[place]),
            seconds(predicted.seconds[size].value),
            _reach(predicted.seconds[size]),
            "best" if size == predicted.best else _times(predicted.regrets[size].regret),
        )
    return table


def _reach(estimate: Estimate) -> str:
    return f"{seconds(estimate.low)} to {seconds(estimate.high)}"


def _times(regret: Estimate) -> str:
    value, low, high = (f"{1 + end:.3g}" for end in (regret.value, regret.low, regret.high))
    return f"{value} ({low} to {high})"


def _plateau(regrets: Sequence[Regret], best: int) -> Iterator[str]:
    """Yield which sizes are within 10 % of the best, and of which that is not known."""
    others = [one for one in regrets if one.batch_size != best]
    sure = [one.batch_size for one in others if one.on_plateau is True]
    open_ = [one.batch_size for one in others if one.on_plateau is None]
    if sure:
        yield f"Within {per_cent(WITHIN)} of it: {listed(sure)}."
    if open_:
        yield f"Within {per_cent(WITHIN)} of it or not, the intervals do not tell: {listed(open_)}."
    if not sure and not open_:
        yield f"No other size is within {per_cent(WITHIN)} of it."


def _laws(found: Found, runs: Runs) -> str:
    """Return where the two laws would put the best batch size, for insight."""
    predicted = found.predicted
    try:
        step = laws.fit_step_time(
            dict(zip(predicted.batch_sizes, map(float, predicted.step_seconds), strict=True))
        )
        steps = steps_law.fit(runs)
        best = laws.best_batch_size(step.half_batch_size, steps.critical_batch_size)
    except LawError as error:
        return f"The two laws put it at no batch size: {error}."
    off = max(step.largest_misfit, *map(abs, steps.misfits.values()))
    doubt = f", though they are off by up to {per_cent(off)}" if off > TOLERANCE else ""
    return f"The two laws put it at {best.value:,.3g} ({best.low:,.3g} to {best.high:,.3g}){doubt}."


def _thumbs(found: Found, samples: int) -> str:
    """Return what usual choices would cost."""
    thumb, regrets = rule_of_thumb(samples), found.predicted.regrets
    names = {thumb: f"{thumb}, the power of two nearest to sqrt({samples})"}
    costs = [
        f"{names.get(size, size)}, {_times(regrets[size].regret)} times as long"
        for size in (thumb, *OTHERS)
        if size in regrets
    ]
    return f"What usual choices would take: {'; '.join(costs)}."


def _confirmed(found: Found) -> str:
    """Return how the runs at the best size compare with the prediction."""
    best, spent = found.predicted.best, found.run_seconds
    count = len(spent)
    median = median_over_seeds(spent)
    expected = found.predicted.median_of_runs(best, count)
    trained = f"Trained at {best} with {count} seeds that had no part in this"
    if median == math.inf:
        return f"{trained}: half of them or more missed the target, so the prediction fails here."
    missed = spent.count(math.inf)
    ends = f"{seconds(min(spent))} to {seconds(max(spent))}" if max(spent) < math.inf else ""
    more = median / expected.value - 1
    compared = f"{per_cent(abs(more))} {'more' if more > 0 else 'less'} than predicted"
    inside = "inside" if expected.low <= median <= expected.high else "outside"
    return (
        f"{trained}: {seconds(median)} in the median ({ends or f'{missed} missed the target'}), "
        f"{compared}, {inside} the interval for {count} such runs, "
        f"{seconds(expected.low)} to {seconds(expected.high)}."
    )
