"""Whether powers of two, or threes, are kinder to the machine than their neighbours."""

import math
import time
from dataclasses import asdict
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.instruments import alignment
from bench.suite.parameters import at_each_resident_engine
from bench.suite.workbench import Workbench


@pytest.mark.parametrize("neighbours", cases.NEIGHBOURS, ids="neighbours={}".format)
@at_each_resident_engine
def test_alignment(
    benchmark: BenchmarkFixture, workbench: Workbench, engine: str, neighbours: str
) -> None:
    """Full batches of one size, each round after a turn of the size that it is held against."""
    train = workbench.data.train
    size, beside = (min(int(word), len(train)) for word in neighbours.split("/"))
    compile_seconds = max(workbench.compile_seconds(engine, each) for each in (size, beside))
    subject = workbench.new_engine(engine)
    orders = {
        each: torch.arange(min(len(train), each * math.ceil(cases.ALIGNMENT_SAMPLES / each)))
        for each in (size, beside)
    }
    beside_seconds: list[float] = []

    def turn_of_the_other() -> tuple[tuple[Any, ...], dict[str, Any]]:
        started = time.perf_counter()
        subject.run(train, orders[beside], beside)
        beside_seconds.append((time.perf_counter() - started) / len(orders[beside]))
        return (train, orders[size], size), {}

    started = time.perf_counter()
    for each, order in orders.items():
        subject.run(train, order, each)
    rounds = cases.rounds("alignment", time.perf_counter() - started)
    benchmark.pedantic(subject.run, setup=turn_of_the_other, rounds=rounds)

    workbench.record(
        benchmark,
        subject,
        batch_size=size,
        samples=len(orders[size]),
        compile_seconds=compile_seconds,
        beside=beside,
    )
    if benchmark.stats:
        seconds = [each / len(orders[size]) for each in benchmark.stats.stats.data]
        likeness = alignment.compare(seconds, beside_seconds, margin=cases.EQUAL_WITHIN)
        benchmark.extra_info.update(asdict(likeness))
