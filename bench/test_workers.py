"""How long workers that share a batch take, and how long they exchange gradients."""

import math
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.measure import group_time, worker
from bench.measure.crew import Crew
from bench.suite.selection import each
from bench.suite.workbench import Workbench, learning_steps
from mnist_mlp.batches import clamped


class Makespan:
    """A clock for pytest-benchmark that shows what a crew of workers has measured.

    A round lasts from a barrier until the slowest worker ends. The time that a request takes to
    reach the workers is left out here, but not in the gate, which has a clock of its own.
    """

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds added so far; only the difference of two readings means something."""
        return self._seconds

    def __repr__(self) -> str:
        return "makespan"  # stored in saved runs, as the timer's name

    def add(self, seconds: float) -> None:
        """Advance the clock."""
        self._seconds += seconds


makespan = Makespan()
by_the_slowest = pytest.mark.benchmark(timer=makespan)


def gathered(crew: Crew, group: str) -> tuple[int, int]:
    """Form the group "WORKERSxTHREADS", and return its workers and the threads of each."""
    workers, threads = map(int, group.split("x"))
    crew.regroup(workers, threads=threads)
    return workers, threads


def prepared(
    crew: Crew, workbench: Workbench, engine: str, group: str, batch_size: int
) -> dict[str, Any]:
    """Give the workers of a group new engines, and return the fields to store."""
    workers, threads = gathered(crew, group)
    crew.ask(worker.new_engine, engine, workbench.options.lr)
    peaks = crew.ask(worker.peak_bytes, batch_size)
    return {
        "engine": engine,
        "workers": workers,
        "threads": threads,
        "batch_size": batch_size,
        "learning_rate": workbench.options.lr,
        "peak_memory_bytes": max(peaks),
        "peak_memory_bytes_of_workers": list(peaks),
    }


def steps_of(crew: Crew, batch_size: int, count: int) -> None:
    """Take so many steps, and advance the clock by the slowest worker's seconds per step."""
    makespan.add(max(crew.ask(worker.steps, batch_size, count)))


def an_epoch(crew: Crew, batch_size: int) -> float:
    """Train for an epoch, and return its loss."""
    measured = crew.ask(worker.one_epoch, batch_size)
    makespan.add(max(seconds for seconds, _ in measured))
    return float(measured[0][1])


def exchanges(crew: Crew, size_bytes: int, count: int) -> None:
    """Exchange so often, and advance the clock by the seconds per exchange."""
    makespan.add(max(crew.ask(worker.exchange, size_bytes, count)))


@by_the_slowest
@each("batch_size", "worker batch sizes")
@each("group", "groups")
@each("engine", "shared engines")
def test_workers_step(
    benchmark: BenchmarkFixture,
    workbench: Workbench,
    crew: Crew,
    engine: str,
    group: str,
    batch_size: int,
) -> None:
    """One optimizer step on a batch that all workers share."""
    benchmark.group = f"{engine}, batch size {batch_size}"
    fields = prepared(crew, workbench, engine, group, batch_size)
    seconds = max(crew.ask(worker.steps, batch_size, 1))
    count = max(1, min(cases.WORKERS_STEPS, round(cases.WORKERS_ROUND_SECONDS / seconds)))

    benchmark.pedantic(
        steps_of, args=(crew, batch_size, count), rounds=cases.WORKERS_ROUNDS, warmup_rounds=1
    )

    if steps := learning_steps(batch_size):
        crew.ask(worker.new_engine, engine, workbench.options.lr)
        fields["losses"] = crew.ask(worker.losses, batch_size, steps)[0]
        assert all(map(math.isfinite, fields["losses"]))
    samples = clamped(batch_size, len(workbench.task.train))
    workbench.store(benchmark, samples=samples, **fields)


@by_the_slowest
@each("batch_size", "worker epoch batch sizes")
@each("group", "groups")
@each("engine", "shared engines")
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
    fields = prepared(crew, workbench, engine, group, batch_size)

    mean_loss = benchmark.pedantic(an_epoch, args=(crew, batch_size), rounds=2, warmup_rounds=1)

    assert math.isfinite(mean_loss)
    workbench.store(benchmark, samples=len(workbench.task.train), **fields)


@by_the_slowest
@pytest.mark.parametrize("size_bytes", group_time.EXCHANGED_BYTES, ids="size_bytes={}".format)
@each("group", "exchanging groups")
def test_exchange(benchmark: BenchmarkFixture, crew: Crew, group: str, size_bytes: int) -> None:
    """Adding up numbers of all workers: the part of their step that is not computing."""
    workers, _ = gathered(crew, group)

    benchmark.pedantic(
        exchanges,
        args=(crew, size_bytes, cases.WORKERS_EXCHANGES),
        rounds=cases.WORKERS_ROUNDS,
        warmup_rounds=1,
    )

    benchmark.extra_info.update(workers=workers, size_bytes=size_bytes)
