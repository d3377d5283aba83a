"""How long workers that share a batch take, and their exchange of gradients by itself."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.measure import group_time, worker_time
from bench.measure.crew import Crew
from bench.suite.makespan import makespan
from bench.suite.parameters import (
    at_each_exchanging_group,
    at_each_group,
    at_each_shared_engine,
    at_each_worker_batch_size,
    at_each_worker_epoch_batch_size,
)
from bench.suite.workbench import Workbench, learning_steps

by_the_slowest = pytest.mark.benchmark(timer=makespan)


def gathered(crew: Crew, group: str) -> tuple[int, int]:
    """Let the workers of "WORKERSxTHREADS" be the group; return how many, and their threads."""
    workers, threads = map(int, group.split("x"))
    crew.regroup(workers, threads=threads)
    return workers, threads


def steps_of(crew: Crew, batch_size: int, count: int) -> None:
    """Take so many steps, and let the clock show the slowest worker's seconds for one."""
    makespan.add(max(crew.ask(worker_time.steps, batch_size, count)))


def an_epoch(crew: Crew, batch_size: int) -> float:
    """Train for an epoch, and return its loss."""
    measured = crew.ask(worker_time.one_epoch, batch_size)
    makespan.add(max(seconds for seconds, _ in measured))
    return float(measured[0][1])


def exchanges(crew: Crew, size_bytes: int, count: int) -> None:
    """Exchange so often, and let the clock show the seconds of one."""
    makespan.add(max(crew.ask(worker_time.exchange, size_bytes, count)))


@by_the_slowest
@at_each_worker_batch_size
@at_each_group
@at_each_shared_engine
def test_workers_step(
    benchmark: BenchmarkFixture,
    workbench: Workbench,
    crew: Crew,
    engine: str,
    group: str,
    batch_size: int,
) -> None:
    """One optimizer step on a batch of all workers together."""
    benchmark.group = f"{engine}, batch size {batch_size}"
    workers, threads = gathered(crew, group)
    crew.ask(worker_time.new_engine, engine, workbench.options.learning_rate)
    peaks = crew.ask(worker_time.peak_bytes, batch_size)
    seconds = max(crew.ask(worker_time.steps, batch_size, 1))
    count = max(1, min(cases.WORKERS_STEPS, round(cases.WORKERS_ROUND_SECONDS / seconds)))

    benchmark.pedantic(
        steps_of, args=(crew, batch_size, count), rounds=cases.WORKERS_ROUNDS, warmup_rounds=1
    )

    found: dict[str, Any] = {}
    if steps := learning_steps(batch_size):
        crew.ask(worker_time.new_engine, engine, workbench.options.learning_rate)
        found["losses"] = crew.ask(worker_time.losses, batch_size, steps)[0]
        assert all(map(math.isfinite, found["losses"]))
    _record(
        benchmark,
        workbench,
        engine=engine,
        workers=workers,
        threads=threads,
        batch_size=batch_size,
        samples=min(batch_size, len(workbench.data.train)),
        peaks=peaks,
        **found,
    )


@by_the_slowest
@at_each_worker_epoch_batch_size
@at_each_group
@at_each_shared_engine
def test_workers_epoch(
    benchmark: BenchmarkFixture,
    workbench: Workbench,
    crew: Crew,
    engine: str,
    group: str,
    batch_size: int,
) -> None:
    """One pass over the training set, by all workers together."""
    benchmark.group = engine
    workers, threads = gathered(crew, group)
    crew.ask(worker_time.new_engine, engine, workbench.options.learning_rate)
    peaks = crew.ask(worker_time.peak_bytes, batch_size)

    mean_loss = benchmark.pedantic(an_epoch, args=(crew, batch_size), rounds=2, warmup_rounds=1)

    assert math.isfinite(mean_loss)
    _record(
        benchmark,
        workbench,
        engine=engine,
        workers=workers,
        threads=threads,
        batch_size=batch_size,
        samples=len(workbench.data.train),
        peaks=peaks,
    )


@by_the_slowest
@pytest.mark.parametrize("size_bytes", group_time.EXCHANGED_BYTES, ids="size_bytes={}".format)
@at_each_exchanging_group
def test_exchange(benchmark: BenchmarkFixture, crew: Crew, group: str, size_bytes: int) -> None:
    """Adding up numbers of all workers: what a step of theirs takes beside computing."""
    workers, _ = gathered(crew, group)

    benchmark.pedantic(
        exchanges,
        args=(crew, size_bytes, cases.WORKERS_EXCHANGES),
        rounds=cases.WORKERS_ROUNDS,
        warmup_rounds=1,
    )

    benchmark.extra_info.update(workers=workers, size_bytes=size_bytes)


def _record(
    benchmark: BenchmarkFixture,
    workbench: Workbench,
    *,
    peaks: Sequence[int],
    samples: int,
    **found: Any,
) -> None:
    """Store the setting of a case, and each worker's peak memory."""
    benchmark.extra_info.update(
        device=workbench.options.device,
        learning_rate=workbench.options.learning_rate,
        data=workbench.data.name,
        peak_memory_bytes=max(peaks),
        peak_memory_bytes_of_workers=list(peaks),
        **found,
    )
    if benchmark.stats:
        benchmark.extra_info["samples_per_second"] = samples / benchmark.stats.stats.median
