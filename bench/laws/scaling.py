"""Time to target by batch size and number of workers, from one worker's steps and the exchange.

A step of B samples on p workers takes t(B, p) = t(B / p, 1) + A(p): the slowest worker computes on
B / p samples, rounded up, and then all exchange their gradients, which takes A(p). There is one
bucket and nothing to overlap with, so the two add up. Workers of one host compute slower beside
each other than alone, which the prediction leaves out. Steps to target depend on B alone, so

    T(B, p) = S(B) (t(B / p, 1) + A(p)),

and with t(B, 1) = o + c B and S(B) = S_min (1 + B_crit / B) the best batch size is
B*(p) = sqrt(p B_crit (o + A(p)) / c). It takes S_min (sqrt(o + A) + sqrt(c B_crit / p))^2, which is
less than that of one worker only where A(p) is below the communication budget

    (sqrt(o) + sqrt(c B_crit) (1 - 1 / sqrt(p)))^2 - o.

Pollux (Qiao et al., OSDI 2021) multiplies throughput by statistical efficiency in the same way.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bench.laws import time_to_target
from bench.laws.line import Estimate
from bench.laws.steps_law import Runs
from bench.laws.time_to_target import TimeToTarget, estimate_of

Medians = Mapping[int, Sequence[float]]  # by batch size or bytes: seconds, each crew's median


def shared(one_worker: Medians, workers: int) -> Medians:
    """Return t(B / p, 1) at the batch sizes whose shares one worker was timed at.

    Args:
        one_worker: t(B, 1) by batch size, of each crew.
        workers: p.

    """
    shares = {size: math.ceil(size / workers) for size in one_worker}
    return {size: one_worker[share] for size, share in shares.items() if share in one_worker}


def with_exchange(computed: Medians, exchange: Sequence[float]) -> Medians:
    """Predict t(B, p) by batch size, of each crew, from what is computed and from A(p)."""
    return {
        size: [sum(both) for both in zip(seconds, exchange, strict=True)]
        for size, seconds in computed.items()
    }


def ring(exchanges: Medians, workers: int, size_bytes: int) -> list[float]:
    """Predict A(p) for a ring of hosts from the exchanges of two, a value of each crew.

    Each worker sends 2 (p - 1) messages of a p-th of the bytes (Patarasuk and Yuan 2009): with a
    latency of each message and a rate of bytes, A(p) = 2 (p - 1) (latency + bytes / (p rate)).
    """
    smallest, largest = min(exchanges), max(exchanges)
    predicted = []
    for small, large in zip(exchanges[smallest], exchanges[largest], strict=True):
        per_byte = max(0.0, (large - small) / (largest - smallest))  # of two workers: 1 / rate
        latency = max(0.0, (small - smallest * per_byte) / 2)
        predicted.append(2 * (workers - 1) * (latency + size_bytes * per_byte / workers))
    return predicted


def combined(runs: Runs, steps: Medians) -> TimeToTarget:
    """Multiply steps to target by seconds a step, each crew a replicate."""
    return time_to_target.combine(
        runs, {size: [[seconds] for seconds in of] for size, of in steps.items()}
    )


def ratio_of_best(several: TimeToTarget, one: TimeToTarget) -> Estimate:
    """How many times as long as one worker's best time to target the best of several takes."""
    value = several.seconds[several.best].value / one.seconds[one.best].value
    return estimate_of(value, several.best_draws / one.best_draws)


def budget(overhead: float, per_sample: float, critical: float, workers: int) -> float:
    """Return the seconds a step that an exchange may take for `workers` to pay.

    Args:
        overhead: o, seconds a step.
        per_sample: c, seconds a sample.
        critical: B_crit, samples.
        workers: p; infinity for as many as you like.

    """
    gained = math.sqrt(per_sample * critical) * (1 - 1 / math.sqrt(workers))
    return (math.sqrt(overhead) + gained) ** 2 - overhead


def best_batch_size(
    overhead: float, per_sample: float, critical: float, exchange: float, workers: int
) -> float:
    """B*(p) by the two laws."""
    return math.sqrt(workers * critical * (overhead + exchange) / per_sample)


def of_crews(values: Sequence[float]) -> Estimate:
    """Estimate a time from each crew's: their geometric mean and a t interval."""
    return time_to_target.seconds_a_step([[value] for value in values])


def misfit(predicted: Medians, measured: Medians) -> dict[int, float]:
    """Return predicted / measured - 1 at each batch size that has both."""
    return {
        size: float(np.exp(np.mean(np.log(predicted[size])) - np.mean(np.log(measured[size])))) - 1
        for size in measured
        if size in predicted
    }
