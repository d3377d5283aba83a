"""What scale measures when it is asked to: averages now and then, and slower networks."""

import argparse
from collections.abc import Callable, Iterator, Sequence

from rich.table import Table

from bench.instruments import group_time, worker_time
from bench.instruments.crew import Crew
from bench.instruments.group_time import GRADIENT_BYTES
from bench.search import local_sgd
from bench.search.local_sgd import Found, Plan
from bench.search.scale import Scaling, Several
from bench.study.reference import Reference
from bench.units import per_cent, seconds

SEEDS = range(300, 305)
LATENCIES_SECONDS = (5e-5, 5e-4, 5e-3)
GIGABITS_PER_SECOND = (1, 10)
NETWORK_BATCH_SIZES = (16, 128, 1024)
WITHIN = 0.2

Tell = Callable[[str], object]


def measured(
    found: Scaling, options: argparse.Namespace, crew: Crew, reference: Reference, tell: Tell
) -> Iterator[Table | str]:
    """Yield tables and sentences on what the options ask for."""
    crew.ask(worker_time.load, None, options.cache_dir)
    several = max((one for one in found.several if one.measured), key=lambda one: one.workers)
    if options.networks:
        yield from _networks(found, several, crew, tell)
    if options.average_every:
        plans = _plans(found, several, options.average_every, reference)
        trained = local_sgd.measure(
            crew, plans, SEEDS, threads=found.threads, cache_dir=options.cache_dir, tell=tell
        )
        yield _averages(trained)
        yield _best(trained)


def _networks(found: Scaling, several: Several, crew: Crew, tell: Tell) -> Iterator[Table | str]:
    """Hold predictions against steps whose exchange waits as over a slower network."""
    waits = {
        (latency, gigabits): latency + 8 * GRADIENT_BYTES / (gigabits * 1e9)
        for latency in LATENCIES_SECONDS
        for gigabits in GIGABITS_PER_SECOND
    }
    timed, apart = group_time.over_networks(
        crew,
        NETWORK_BATCH_SIZES,
        list(waits.values()),
        workers=several.workers,
        threads=found.threads,
        tell=tell,
    )
    table = Table(title=f"Steps of {several.workers} workers over slower networks, simulated")
    for heading in ("latency", "Gbit/s", "batch size", "predicted", "measured", "off by"):
        table.add_column(heading, justify="right")
    misses = []
    for (latency, gigabits), wait in waits.items():
        for size in NETWORK_BATCH_SIZES:
            predicted = apart[size] + several.exchange.value + wait
            misses.append(predicted / timed[size, wait] - 1)
            table.add_row(
                seconds(latency),
                f"{gigabits}",
                f"{size}",
                seconds(predicted),
                seconds(timed[size, wait]),
                per_cent(misses[-1]),
            )
    yield table
    inside = sum(abs(miss) <= WITHIN for miss in misses)
    yield f"Within {per_cent(WITHIN)}: {inside} of {len(misses)} cells."


def _plans(
    found: Scaling, several: Several, every: Sequence[int], reference: Reference
) -> list[tuple[int, Plan]]:
    """Return trainings at each one's best batch size, at rates that suit the batch and a share."""
    rates = {one.batch_size: one.learning_rate for one in reference.tuned[found.target]}
    plans = []
    for workers, times in (
        (1, found.one),
        (several.workers, several.measured or several.predicted),
    ):
        size = times.best
        steps = float(times.steps[times.batch_sizes.index(size)])
        plans.append((workers, _plan(found, size, rates[size], steps, 1)))
        if workers > 1:
            share = max(1, size // workers)
            plans += [
                (workers, _plan(found, size, rate, steps, average_every))
                for average_every in every
                if average_every > 1
                for rate in dict.fromkeys((rates[size], rates.get(share, rates[size])))
            ]
    return plans


def _plan(
    found: Scaling, batch_size: int, learning_rate: float, steps: float, average_every: int
) -> Plan:
    return Plan(
        batch_size=batch_size,
        learning_rate=learning_rate,
        average_every=average_every,
        target=found.target,
        expected_steps=steps,
    )


def _averages(trained: Sequence[Found]) -> Table:
    table = Table(title=f"Trained to the target, {len(SEEDS)} seeds, medians (fastest to slowest)")
    headings = ("workers", "batch size", "rate", "average every", "steps", "seconds", "")
    for heading in headings:
        table.add_column(heading, justify="right")
    for one in trained:
        table.add_row(
            f"{one.workers}",
            f"{one.plan.batch_size}",
            f"{one.plan.learning_rate:.3g}",
            f"{one.plan.average_every}" if one.plan.average_every > 1 else "-",
            f"{one.median_steps:,.0f}",
            seconds(one.median_seconds),
            f"{seconds(min(one.seconds))} to {seconds(max(one.seconds))}",
        )
    return table


def _best(trained: Sequence[Found]) -> str:
    alone = next(one for one in trained if one.workers == 1)
    best = min((one for one in trained if one.workers > 1), key=lambda one: one.median_seconds)
    ratio = best.median_seconds / alone.median_seconds
    how = (
        f"averaging every {best.plan.average_every} steps"
        if best.plan.average_every > 1
        else "exchanging at each step"
    )
    return (
        f"The fastest of {best.workers} workers, {how}, takes {ratio:.2f} times as long as one "
        f"worker at batch size {alone.plan.batch_size}."
    )
