"""What several workers give: predicted from one worker's steps and the exchange, and measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.laws import laws, scaling, steps_law
from bench.laws.line import Estimate, LawError
from bench.laws.scaling import Medians
from bench.laws.steps_law import Runs
from bench.laws.time_to_target import TimeToTarget
from bench.measure.group_time import ENGINE, GRADIENT_BYTES, Group, GroupTimes

PREDICTED = (2, 4, 16, 64)  # numbers of workers


@dataclass(frozen=True, kw_only=True)
class Several:
    """What so many workers would take, and do take where they were measured."""

    workers: int
    exchange: Estimate  # A(p), seconds
    is_exchange_measured: bool  # or that of a ring, from the exchanges of two
    budget: float | None  # the exchange up to which they pay, seconds; None without a law of steps
    law_best: float | None  # B*(p) by the two laws
    predicted: TimeToTarget
    predicted_steps: Medians
    measured: TimeToTarget | None
    measured_steps: Medians


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """The answer for one worker, for several, and for one that has all the threads."""

    target: float
    engine: str
    threads: int  # of each worker
    one: TimeToTarget
    one_steps: Medians
    several: Sequence[Several]
    all_threads: TimeToTarget | None  # one worker on as many threads as the most workers have


def answer(times: GroupTimes, runs: Runs, *, target: float, threads: int) -> Scaling:
    """Predict and compare.

    Args:
        times: of a group of one worker, and of others.
        runs: steps to the target by batch size and seed.
        target: test accuracy.
        threads: of each worker; a group of one with more threads is for comparison.

    """
    one = times.step_medians(Group(workers=1, threads=threads))
    wide = [group for group in times.steps if group.workers == 1 and group.threads > threads]
    return Scaling(
        target=target,
        engine=ENGINE,
        threads=threads,
        one=scaling.combined(runs, one),
        one_steps=one,
        several=[
            _several(workers, one, times, threads, runs)
            for workers in sorted({*PREDICTED, *(group.workers for group in times.exchanges)})
        ],
        all_threads=scaling.combined(runs, times.step_medians(wide[0])) if wide else None,
    )


def _several(
    workers: int,
    one: Medians,
    times: GroupTimes,
    threads: int,
    runs: Runs,
) -> Several:
    group = Group(workers=workers, threads=threads)
    is_measured = group in times.exchanges
    exchanges = {of.workers: times.exchange_medians(of) for of in times.exchanges}
    exchange = (
        exchanges[workers][GRADIENT_BYTES]
        if is_measured
        else scaling.ring(exchanges[min(exchanges)], workers, GRADIENT_BYTES)
    )
    seconds = scaling.of_crews(exchange)
    steps = scaling.with_exchange(scaling.shared(one, workers), exchange)
    measured = times.step_medians(group) if is_measured else {}
    budget, best = _by_laws(one, runs, seconds.value, workers)
    return Several(
        workers=workers,
        exchange=seconds,
        is_exchange_measured=is_measured,
        budget=budget,
        law_best=best,
        predicted=scaling.combined(runs, steps),
        predicted_steps=steps,
        measured=scaling.combined(runs, measured) if measured else None,
        measured_steps=measured,
    )


def _by_laws(
    one: Medians, runs: Runs, exchange: float, workers: int
) -> tuple[float | None, float | None]:
    """Return the communication budget and B*(p), where both laws can be fitted."""
    try:
        step = laws.fit_step_time({size: scaling.of_crews(of).value for size, of in one.items()})
        critical = steps_law.fit(runs).critical_batch_size.value
    except LawError:
        return None, None
    overhead, per_sample = step.overhead_seconds.value, step.seconds_per_sample.value
    return (
        scaling.budget(overhead, per_sample, critical, workers),
        scaling.best_batch_size(overhead, per_sample, critical, exchange, workers),
    )
