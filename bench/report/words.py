"""The laws of a run in sentences."""

from collections.abc import Mapping, Sequence

from bench.laws import laws
from bench.laws.laws import Law, StepsToTarget, StepTime
from bench.laws.line import Estimate, LawError
from bench.runs import selection
from bench.runs.case import MeasuredCase
from bench.runs.seeds import Seeds, by_series
from bench.units import gigabytes, listed, seconds, two_digits


def of_memory(cases: Sequence[MeasuredCase], physical_bytes: float) -> list[str]:
    """Say how each engine's peak memory grows with batch size, and whether memory is a limit."""
    sentences = []
    for engine in selection.engines(cases):
        try:
            use = laws.fit_memory(selection.peak_bytes(cases, engine))
        except LawError:
            continue
        samples = max(case.samples for case in selection.of_verb(cases, "epoch", engine))
        grows = f"{two_digits(use.bytes_per_sample)} bytes more for each sample of a step"
        sentences.append(
            f"An epoch of the {engine} engine takes {grows}: "
            f"{_limit(use.largest_batch(physical_bytes), samples, physical_bytes)}."
        )
    return sentences


def _limit(largest_batch: int, samples: int, physical_bytes: float) -> str:
    """Compare the largest batch that fits with the training set."""
    machine = gigabytes(physical_bytes)
    if largest_batch >= samples:
        return f"{machine} hold a batch of all {samples:,}, so memory is no limit here"
    return f"{machine} hold batches of about {two_digits(largest_batch)}"


def sentences(cases: Sequence[MeasuredCase]) -> list[str]:
    """Say what the laws of each engine are that trained to the target; nothing where none did."""
    series = by_series(cases)
    found = []
    for engine in dict.fromkeys(engine for engine, _ in series):
        step_time = None
        try:
            step_time = laws.fit_step_time(selection.step_seconds(cases, engine))
            found.append(_of_step_time(step_time, engine))
        except LawError as error:
            found.append(f"No law of step time for the {engine} engine: {error}.")
        for (its_engine, rule), seeds in series.items():
            if its_engine == engine:
                found += _of_rule(rule, seeds, step_time)
    return found


def _of_step_time(step_time: StepTime, engine: str) -> str:
    return (
        f"Up to batch size {max(step_time.misfits)}, a step of the {engine} engine takes "
        f"{seconds(step_time.overhead_seconds.value)} + "
        f"{seconds(step_time.seconds_per_sample.value)} a sample: "
        f"B_half {_interval(step_time.half_batch_size)}, {_misfit(step_time)}."
    )


def _of_rule(rule: str, found: Sequence[Seeds], step_time: StepTime | None) -> list[str]:
    steps = {seeds.batch_size: seeds.steps for seeds in found}
    try:
        if rule == "fixed":
            return [_of_slope(steps)]
        law = laws.fit_steps_to_target(steps)
    except LawError as error:
        return [f"No law of steps to target with the {rule} learning rate: {error}."]
    if step_time is None:
        return [_of_steps(law, rule)]
    best = laws.best_batch_size(step_time.half_batch_size, law.critical_batch_size)
    return [_of_steps(law, rule), _of_best(best, found)]


def _of_slope(steps: Mapping[int, Sequence[float]]) -> str:
    slope = laws.slope_of_log_steps(steps)
    return (
        "At a fixed learning rate, steps to target go with B to the power "
        f"{slope.value:z.2f} ({slope.low:z.2f} to {slope.high:z.2f})"
        f"{_without(laws.censored(steps))}."
    )


def _of_steps(law: StepsToTarget, rule: str) -> str:
    return (
        f"With the {rule} learning rate, steps to target go as S_min (1 + B_crit / B): "
        f"S_min {_interval(law.smallest_steps)}, B_crit {_interval(law.critical_batch_size)}, "
        f"{_misfit(law)}{_without(law.censored)}."
    )


def _of_best(predicted: Estimate, found: Sequence[Seeds]) -> str:
    best = min(found, key=lambda seeds: seeds.median_seconds)
    alike = [seeds.batch_size for seeds in found if seeds is not best and seeds.overlaps(best)]
    doubt = f"; its seeds overlap with those of {listed(alike)}" if alike else ""
    return (
        f"By these two laws training is shortest at B* {_interval(predicted)}. Of the batch sizes "
        f"that ran, {best.batch_size} was the fastest, with {seconds(best.median_seconds)}{doubt}."
    )


def _misfit(law: Law) -> str:
    if not law.breaking:
        return f"misfit up to {100 * law.largest_misfit:.0f} % at {law.worst_batch_size}"
    misfits = listed([f"{100 * law.misfits[size]:+.0f} % at {size}" for size in law.breaking])
    return f"but off by {misfits}"


def _without(censored: Sequence[int]) -> str:
    return f", leaving out {listed(censored)}, which did not reach it" if censored else ""


def _interval(estimate: Estimate) -> str:
    low, high = two_digits(estimate.low), two_digits(estimate.high)
    return f"{two_digits(estimate.value)} ({low} to {high})"
