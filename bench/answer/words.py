"""The laws of a run in sentences."""

import statistics
from collections.abc import Mapping, Sequence

from bench.answer import time_model
from bench.answer.time_model import Benchmarks, Estimate, Law, LawError, StepsToTarget, StepTime
from bench.units import seconds


def of_memory(benchmarks: Benchmarks, physical_bytes: float) -> list[str]:
    """What a sample more in a step costs each engine, and how many fit a machine's memory."""
    said = []
    for engine in dict.fromkeys(case["extra_info"]["engine"] for case in benchmarks):
        try:
            use = time_model.fit_memory(time_model.peak_bytes(benchmarks, engine))
        except LawError:
            continue
        said.append(
            f"An epoch of the {engine} engine takes {_number(use.bytes_per_sample)} bytes more for "
            f"each sample of a step; {physical_bytes / 1e9:.0f} GB hold batches of "
            f"{use.largest_batch(physical_bytes):,}."
        )
    return said


def sentences(benchmarks: Benchmarks) -> list[str]:
    """What a run's laws say of each engine that trained to the target; nothing where none did."""
    return [
        sentence
        for engine, rules in time_model.lr_rules(benchmarks).items()
        for sentence in _of_engine(benchmarks, engine, rules)
    ]


def _of_engine(benchmarks: Benchmarks, engine: str, rules: Sequence[str]) -> list[str]:
    step_time = None
    try:
        step_time = time_model.fit_step_time(time_model.step_seconds(benchmarks, engine))
        said = [_of_step_time(step_time, engine)]
    except LawError as error:
        said = [f"No law of step time for the {engine} engine: {error}."]
    for rule in rules:
        try:
            said += _of_rule(benchmarks, engine, rule, step_time)
        except LawError as error:
            said.append(f"No law of steps to target with the {rule} learning rate: {error}.")
    return said


def _of_step_time(step_time: StepTime, engine: str) -> str:
    return (
        f"Up to batch size {max(step_time.misfits)}, a step of the {engine} engine takes "
        f"{seconds(step_time.overhead_seconds.value)} + "
        f"{seconds(step_time.seconds_per_sample.value)} a sample: "
        f"B_half {_interval(step_time.half_batch_size)}, {_misfit(step_time)}."
    )


def _of_rule(
    benchmarks: Benchmarks, engine: str, rule: str, step_time: StepTime | None
) -> list[str]:
    steps = time_model.steps_to_target(benchmarks, engine, rule)
    if rule == "fixed":
        return [_of_slope(time_model.slope_of_log_steps(steps), time_model.censored(steps))]
    law = time_model.fit_steps_to_target(steps)
    said = [_of_steps(law, rule)]
    if step_time:
        times = time_model.seconds_to_target(benchmarks, engine, rule)
        said.append(_of_best(time_model.best_batch_size(step_time, law), times))
    return said


def _of_slope(slope: Estimate, censored: Sequence[int]) -> str:
    return (
        "At a fixed learning rate, steps to target go with B to the power "
        f"{slope.value:z.2f} ({slope.low:z.2f} to {slope.high:z.2f}){_without(censored)}."
    )


def _of_steps(law: StepsToTarget, rule: str) -> str:
    return (
        f"With the {rule} learning rate, steps to target go as S_min (1 + B_crit / B): "
        f"S_min {_interval(law.smallest_steps)}, B_crit {_interval(law.critical_batch_size)}, "
        f"{_misfit(law)}{_without(law.censored)}."
    )


def _of_best(best: Estimate, times: Mapping[int, Sequence[float]]) -> str:
    medians = {size: statistics.median_high(times[size]) for size in times}  # as the tables do
    first = min(medians, key=medians.__getitem__)
    return (
        f"By these two laws training is shortest at B* {_interval(best)}; of the batch sizes that "
        f"ran, {first} was, at {seconds(medians[first])}."
    )


def _misfit(law: Law) -> str:
    if not law.breaking:
        return f"misfit up to {100 * law.largest_misfit:.0f} % at {law.worst_batch_size}"
    misfits = _listed([f"{100 * law.misfits[size]:+.0f} % at {size}" for size in law.breaking])
    return f"but off by {misfits}"


def _without(censored: Sequence[int]) -> str:
    return f", leaving out {_listed(censored)}, which did not reach it" if censored else ""


def _listed(items: Sequence[object]) -> str:
    *others, last = map(str, items)
    return f"{', '.join(others)} and {last}" if others else last


def _interval(estimate: Estimate) -> str:
    return f"{_number(estimate.value)} ({_number(estimate.low)} to {_number(estimate.high)})"


def _number(value: float) -> str:
    """Two significant digits."""
    return f"{float(f'{value:.2g}'):,g}"
