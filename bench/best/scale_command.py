"""python -m bench scale: whether several workers train faster to the target than one worker.

A step of B samples on p workers computes B / p samples on each, and then all exchange their
gradients, which takes A(p). Steps to the target depend on B alone. With one worker's t(B) = o + c B
and S(B) = S_min (1 + B_crit / B), the best batch size takes S_min (sqrt(o + A) + sqrt(c B_crit /
p))^2, which is less than one worker takes only if A(p) is below the communication budget,
(sqrt(o) + sqrt(c B_crit) (1 - 1 / sqrt(p)))^2 - o.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench import cases
from bench.best import figure
from bench.best.progress import progress_line
from bench.best.reference import Reference
from bench.laws import time_to_target
from bench.laws.laws import Estimate, LawError
from bench.laws.time_to_target import TimeToTarget
from bench.measure import group_time, provenance
from bench.measure.group_time import GRADIENT_BYTES, Group, GroupTimes
from bench.options import FEWEST_WORKERS
from bench.units import estimate, seconds, table, wrapped
from mnist_mlp import atomic
from mnist_mlp.memory import usable_cores
from mnist_mlp.task_source import Source

LARGER_BATCH_SIZES = (4096, 8192)  # throughput only: their steps to the target are unknown


def run(options: argparse.Namespace) -> int:
    """Measure, print, save and draw."""
    target, cores = options.target_accuracy or cases.TARGET_ACCURACY, usable_cores()
    bounds = Reference.shipped().bounds(target)
    workers = options.workers or max(FEWEST_WORKERS, cores)
    threads = options.threads or max(1, cores // workers)
    with progress_line() as tell:
        measured = group_time.measure(
            groups(workers, threads, cores),
            [*bounds, *LARGER_BATCH_SIZES],
            crews=options.crews,
            source=Source(cache_dir=options.cache_dir),
            tell=tell,
        )
    times = {
        group: time_to_target.combine(bounds, turns) for group, turns in measured.steps.items()
    }
    print(*report(measured, times, target=target), sep="\n")
    if options.json:
        atomic.write({options.json: as_json(measured)})
    if options.figure:
        curves = {group.name: time.seconds for group, time in times.items()}
        figure.draw(options.figure, "workers", curves, goal=f"test accuracy {target:g}")
    return 0


def groups(workers: int, threads: int, cores: int) -> list[Group]:
    """Return one worker, groups of several, and one worker with the threads of all workers."""
    several = [count for count in (2, 4) if count < workers]
    wide = workers * threads
    return [
        Group(workers=1, threads=threads),
        *(Group(workers=count, threads=threads) for count in (*several, workers)),
        *([Group(workers=1, threads=wide)] if wide <= cores else []),
    ]


def budget(overhead: float, per_sample: float, critical: float, workers: int) -> float:
    """Return the communication budget in seconds, from o, c, B_crit and p."""
    gained = math.sqrt(per_sample * critical) * (1 - 1 / math.sqrt(workers))
    return (math.sqrt(overhead) + gained) ** 2 - overhead


def report(
    measured: GroupTimes, times: Mapping[Group, TimeToTarget], *, target: float
) -> list[str]:
    """Lay out two tables and sentences; the first group is a single worker."""
    alone, *several = times
    exchanges = {
        group: time_to_target.seconds_per_step(turns[GRADIENT_BYTES])
        for group, turns in measured.exchanges.items()
    }
    sentences = [
        f"Time to target of {group.name} over that of {alone.name}, each at its best batch size "
        f"({times[group].best} and {times[alone].best}): "
        f"{estimate(times[group].ratio_of_best(times[alone]))}."
        f"{_within_budget(exchanges[group], times[alone], group) if group in exchanges else ''}"
        for group in several
    ]
    return [
        *table(
            f"{group_time.ENGINE} engine, workers x threads, to test accuracy {target:g} (95 %)",
            [
                ["workers", *(group.name for group in times)],
                ["best batch size", *(str(time.best) for time in times.values())],
                ["to target", *(estimate(t.seconds[t.best], seconds) for t in times.values())],
                [
                    "exchange of all gradients",
                    *(
                        estimate(exchanges[group], seconds) if group in exchanges else "-"
                        for group in times
                    ),
                ],
            ],
        ),
        *table(
            "One step, by batch size of all workers",
            [
                ["batch size", *map(str, measured.steps[alone])],
                *(
                    [group.name, *map(_one_step, turns.values())]
                    for group, turns in measured.steps.items()
                ),
            ],
        ),
        *(line for sentence in sentences for line in wrapped(sentence)),
    ]


def _one_step(turns: Sequence[Sequence[float]]) -> str:
    return seconds(time_to_target.seconds_per_step(turns).value)


def _within_budget(exchange: Estimate, alone: TimeToTarget, group: Group) -> str:
    """Compare the exchange with the communication budget, up to which the workers pay."""
    try:
        step, steps = alone.fit_laws()
    except LawError:
        return ""
    o, c = step.overhead_seconds.value, step.seconds_per_sample.value
    most = budget(o, c, steps.critical_batch_size.value, group.workers)
    verb = "above" if exchange.value > most else "within"
    return f" The exchange is {verb} the communication budget of {seconds(most)}."


def as_json(times: GroupTimes) -> bytes:
    """Write the measurements, and describe the machine."""

    def rows(measured: Mapping[Group, group_time.Turns]) -> list[dict[str, Any]]:
        return [
            {**asdict(group), "size": size, "crews": turns}
            for group, of_group in measured.items()
            for size, turns in of_group.items()
        ]

    saved = {
        "machine": provenance.describe(),
        "engine": group_time.ENGINE,
        "steps": rows(times.steps),
        "exchanges": rows(times.exchanges),
    }
    return json.dumps(saved, indent=1).encode()
