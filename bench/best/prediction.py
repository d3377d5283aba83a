"""The predicted times to the target of an engine, in a table and sentences."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from bench.best.ladder import rule_of_thumb
from bench.laws import laws
from bench.laws.laws import TOLERANCE, LawError
from bench.laws.time_to_target import WITHIN, TimeToTarget
from bench.runs.seeds import median_over_seeds
from bench.units import estimate, listed, per_cent, seconds, table, wrapped

OTHERS = (32, 128)  # usual batch sizes; another is the square root of the training set


class Trained(NamedTuple):
    """Trainings with fresh seeds at the batch size that an early prediction named the best."""

    batch_size: int
    run_seconds: Sequence[float]  # one value per seed; infinite: the target was missed


def lines(
    times: TimeToTarget,
    trained: Trained,
    *,
    engine: str,
    target: float,
    rates: Mapping[int, float],
    samples: int,
) -> list[str]:
    """Lay out a table and sentences, which compare `trained` with the prediction."""
    sizes, best = times.batch_sizes, times.best
    low, high = times.best_interval
    rows = table(
        f"{engine} engine",
        [
            ["batch size", *map(str, sizes)],
            ["rate", *(f"{rates[size]:.3g}" for size in sizes)],
            ["steps", *(f"{steps:,.0f}" for steps in times.steps)],
            ["one step", *map(seconds, times.step_seconds)],
            ["to target (95 %)", *(estimate(times.seconds[size], seconds) for size in sizes)],
            ["times the best", *(times_the_best(times, size) for size in sizes)],
        ],
    )
    first = (
        f"Batch size {best} at rate {rates[best]:.3g} is predicted to train fastest with the "
        f"{engine} engine: {estimate(times.seconds[best], seconds)} to test accuracy {target:g}. "
        f"The best of these sizes lies between {low} and {high} (95 % interval)."
    )
    sentences = [
        first,
        plateau(times),
        fitted_laws(times),
        usual_choices(times, samples),
        _check(times, trained),
    ]
    return [*rows, *(line for sentence in sentences for line in wrapped(sentence))]


def times_the_best(times: TimeToTarget, size: int) -> str:
    """Write a size's time as a multiple of the best."""
    return "best" if size == times.best else estimate(times.ratios[size], "{:.3g}".format)


def plateau(times: TimeToTarget) -> str:
    """Name the sizes within 10 % of the best, and the sizes that are too close to call."""
    others = [size for size in times.batch_sizes if size != times.best]
    sure = [size for size in others if times.is_on_plateau(size)]
    unsure = [size for size in others if times.is_on_plateau(size) is None]
    within = listed(sure) if sure else "no other size"
    return f"Within {per_cent(WITHIN)} of it: {within}." + (
        f" Too close to call: {listed(unsure)}." if unsure else ""
    )


def fitted_laws(times: TimeToTarget) -> str:
    """Say which batch size is best by the two laws."""
    try:
        step, steps = times.fit_laws()
    except LawError as error:
        return f"The laws of step time and of steps predict no best batch size: {error}."
    at = estimate(laws.best_batch_size(step.half_batch_size, steps.critical_batch_size))
    off = max(step.largest_misfit, steps.largest_misfit)
    doubt = f", though they are off by up to {per_cent(off)}" if off > TOLERANCE else ""
    return (
        f"The laws of step time (B_half {estimate(step.half_batch_size)}) and of steps (S_min "
        f"{estimate(steps.smallest_steps)}, B_crit {estimate(steps.critical_batch_size)}) predict "
        f"a best batch size of {at}{doubt}."
    )


def usual_choices(
    times: TimeToTarget, samples: int, untrained: Mapping[int, str] = MappingProxyType({})
) -> str:
    """Say what usual batch sizes cost, from `untrained` if not from `times`; skip unknown sizes."""
    thumb = rule_of_thumb(samples)
    costs = []
    for size in dict.fromkeys((thumb, *OTHERS)):
        if size in times.batch_sizes or size in untrained:
            name = f"{size}{f' (the power of two nearest to sqrt({samples}))' * (size == thumb)}"
            costs.append(f"{name} {untrained.get(size) or times_the_best(times, size)}")
    return f"Usual batch sizes, in times of the best: {'; '.join(costs)}." if costs else ""


def _check(times: TimeToTarget, checked: Trained) -> str:
    """Compare the trainings with the prediction."""
    size, spent = checked
    median, missed = median_over_seeds(spent), list(spent).count(math.inf)
    expected = times.median_of_runs(size, len(spent))
    trained = f"Trained at {size} with {len(spent)} seeds that had no part in the choice"
    if median == math.inf:
        return f"{trained}: half of them or more missed the target, so the prediction fails here."
    ends = f"{seconds(min(spent))} to {seconds(max(spent))}"
    more = median / expected.value - 1
    compared = f"{per_cent(abs(more))} {'more' if more > 0 else 'less'} than predicted"
    inside = "inside" if expected.low <= median <= expected.high else "outside"
    return (
        f"{trained}: median {seconds(median)} ({f'{missed} missed the target' if missed else ends})"
        f", {compared}, {inside} the 95 % interval for {len(spent)} such trainings, "
        f"{seconds(expected.low)} to {seconds(expected.high)}."
    )


def as_json(times: TimeToTarget) -> dict[str, Any]:
    """Return the best batch size, and the times of each batch size, for a file."""
    low, high = times.best_interval
    return {
        "best_batch_size": times.best,
        "best_batch_size_interval": [low, high],
        "batch_sizes": [
            {"batch_size": size, "steps": steps, "seconds_per_step": step}
            | {"seconds": times.seconds[size].value}
            | {"low": times.seconds[size].low, "high": times.seconds[size].high}
            for size, steps, step in zip(
                times.batch_sizes, times.steps.tolist(), times.step_seconds.tolist(), strict=True
            )
        ],
    }
