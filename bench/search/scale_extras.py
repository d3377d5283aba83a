"""What scale measures when it is asked to: averages now and then, and slower networks."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rich.table import Table

from bench.answer.line import CONFIDENCE
from bench.instruments import group_time, worker_time
from bench.instruments import ratio as ratio_of
from bench.instruments.crew import Crew
from bench.instruments.group_time import GRADIENT_BYTES
from bench.search import local_sgd
from bench.search.local_sgd import Found, Plan
from bench.search.scale import Scaling, Several
from bench.study.reference import Reference
from bench.units import per_cent, seconds

SEEDS = range(300, 310)
CONFIRMING_SEEDS = range(400, 410)
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
        train = partial(
            local_sgd.measure,
            crew,
            threads=found.threads,
            tell=tell,
        )
        trained = train(_plans(found, several, options.average_every, reference), SEEDS)
        yield _averages(trained)
        yield _control(trained)
        # What was the fastest of several was lucky, too: fresh seeds tell by how much.
        best = [(one.workers, one.plan) for one in _fastest(trained)]
        yield _best(*train(best, CONFIRMING_SEEDS))


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
    """Return trainings at the best batch size of one worker and of several, by each of them."""
    rates = {one.batch_size: one.learning_rate for one in reference.tuned[found.target]}
    best = (found.one.best, (several.measured or several.predicted).best)
    plans = []
    for size in dict.fromkeys(best):
        steps = float(found.one.steps[found.one.batch_sizes.index(size)])
        of_size = partial(
            Plan,
            batch_size=size,
            learning_rate=rates[size],
            target=found.target,
            expected_steps=steps,
        )
        plans.append((1, of_size(average_every=1)))
        plans += [
            (several.workers, of_size(average_every=each)) for each in dict.fromkeys((1, *every))
        ]
    return plans


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


def _control(trained: Sequence[Found]) -> str:
    """Tell whether workers that exchange at each step took the steps of one."""
    pairs = [
        (one, other)
        for one in trained
        for other in trained
        if one.workers == 1 and other.workers > 1 and one.plan == other.plan
    ]
    steps = [both for pair in pairs for both in zip(*(of.steps for of in pair), strict=True)]
    same = sum(one == other for one, other in steps)
    fewer = sum(other < one for one, other in steps)
    return (
        f"Exchanging at each step, workers took the steps of one, seed by seed, in {same} of "
        f"{len(steps)} runs, and fewer in {fewer}; evaluations lie 3 % apart."
    )


def _fastest(trained: Sequence[Found]) -> tuple[Found, Found]:
    """Return the fastest training of one worker, and of several."""
    alone, several = (
        min((one for one in trained if (one.workers > 1) is of_several), key=_seconds)
        for of_several in (False, True)
    )
    return alone, several


def _seconds(found: Found) -> float:
    return found.median_seconds


def _best(alone: Found, several: Found) -> str:
    # The same seeds: their ratios are paired.
    ratio = ratio_of.paired(several.seconds, alone.seconds, confidence=CONFIDENCE)
    every = several.plan.average_every
    how = f"averaging every {every} steps" if every > 1 else "exchanging at each step"
    return (
        f"With {len(CONFIRMING_SEEDS)} fresh seeds, the fastest way of {several.workers} workers, "
        f"{how} at batch size {several.plan.batch_size}, takes {ratio.ratio:.2f} ({ratio.low:.2f} "
        f"to {ratio.high:.2f}) times as long as one worker at batch size {alone.plan.batch_size}."
    )
