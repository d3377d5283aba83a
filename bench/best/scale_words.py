"""How time to target changes with the number of workers: in tables and words."""

from collections.abc import Iterator

from rich.table import Table

from bench.best.scale import Scaling, Several
from bench.laws import scaling
from bench.laws.line import Estimate
from bench.laws.time_to_target import TimeToTarget
from bench.units import listed, per_cent, seconds


def report(found: Scaling) -> Iterator[Table | str]:
    """Yield tables and sentences."""
    yield _workers(found)
    yield (
        f"Workers compute on {found.threads} threads each. Exchange: of all gradients, by gloo. "
        "Budget: the exchange up to which so many workers train faster to the target than one. "
        "Best and to target: predicted from one worker's steps, and the exchange. By the "
        "laws: the best batch size where t(B) = o + c B and S(B) = S_min (1 + B_crit / B)."
    )
    for several in found.several:
        if several.measured:
            yield _measured(found, several)
            yield (
                "Off by: predicted over measured, less 1. Strong: of so many times one worker's "
                "speed at the same batch size. Weak: of that at the same samples a worker."
            )
            yield from _compared(found, several, several.measured)
    if found.all_threads:
        one = seconds(found.one.seconds[found.one.best].value)
        wide = found.all_threads.seconds[found.all_threads.best]
        yield (
            f"One worker on all threads takes {_interval(wide)} at batch size "
            f"{found.all_threads.best}; on {found.threads}, {one}."
        )


def _workers(found: Scaling) -> Table:
    table = Table(title=f"{found.engine} engine, to test accuracy {found.target:g}")
    headings = ("workers", "exchange", "95 %", "budget", "best", "to target", "95 %", "by the laws")
    for heading in headings:
        table.add_column(heading, justify="right")
    best = found.one.seconds[found.one.best]
    table.add_row("1", "-", "", "-", f"{found.one.best}", seconds(best.value), _reach(best), "")
    for one in found.several:
        best = one.predicted.seconds[one.predicted.best]
        table.add_row(
            f"{one.workers}",
            seconds(one.exchange.value) + ("" if one.is_exchange_measured else " (ring)"),
            _reach(one.exchange),
            "-" if one.budget is None else seconds(one.budget),
            f"{one.predicted.best}",
            seconds(best.value),
            _reach(best),
            "-" if one.law_best is None else f"{one.law_best:.3g}",
        )
    return table


def _measured(found: Scaling, several: Several) -> Table:
    """Lay out one worker's steps beside those of several, predicted and measured."""
    title = f"{several.workers} workers: one step and time to target, measured beside predicted"
    table = Table(title=title)
    for heading in (
        *("batch size", "one worker", "predicted", "measured", "off by", "strong", "weak"),
        *("to target", "one worker"),
    ):
        table.add_column(heading, justify="right")
    one, steps = _values(found.one_steps), _values(several.measured_steps)
    predicted = _values(several.predicted_steps)
    off = scaling.misfit(several.predicted_steps, several.measured_steps)
    for size in sorted(steps):
        share = size // several.workers if size % several.workers == 0 else None
        table.add_row(
            f"{size}",
            seconds(one[size]),
            seconds(predicted.get(size)),
            seconds(steps[size]),
            per_cent(off[size]) if size in off else "-",
            per_cent(one[size] / several.workers / steps[size]),
            per_cent(one[share] / steps[size]) if share in one else "-",
            _to_target(several.measured, size),
            _to_target(found.one, size),
        )
    return table


def _to_target(times: TimeToTarget | None, size: int) -> str:
    return seconds(times.seconds[size].value) if times and size in times.seconds else "-"


def _compared(found: Scaling, several: Several, measured: TimeToTarget) -> Iterator[str]:
    """Yield whether several workers pay, as it was predicted and as it is."""
    said = scaling.ratio_of_best(several.predicted, found.one)
    seen = scaling.ratio_of_best(measured, found.one)
    yield (
        f"{several.workers} workers take {_times(seen)} times as long to the target as one, each "
        f"at its best batch size ({measured.best} and {found.one.best}); predicted were "
        f"{_times(said)} times."
    )
    if several.budget is not None:
        verb = "is above" if several.exchange.value > several.budget else "is within"
        yield (
            f"An exchange takes {_interval(several.exchange)}, which {verb} the budget of "
            f"{seconds(several.budget)}."
        )
    steps, one = _values(several.measured_steps), _values(found.one_steps)
    paying = [size for size in sorted(steps) if steps[size] < one[size]]
    ahead = f"In samples a second {several.workers} workers are ahead of one at batch sizes"
    yield f"{ahead} {listed(paying)}." if paying else f"{ahead} none."


def _values(medians: scaling.Medians) -> dict[int, float]:
    return {size: scaling.of_crews(of).value for size, of in medians.items()}


def _times(ratio: Estimate) -> str:
    return f"{ratio.value:.3g} ({ratio.low:.3g} to {ratio.high:.3g})"


def _interval(estimate: Estimate) -> str:
    return f"{seconds(estimate.value)} ({_reach(estimate)})"


def _reach(estimate: Estimate) -> str:
    return f"{seconds(estimate.low)} to {seconds(estimate.high)}"
