"""How many cores should compute, and how many should load batches."""

from collections.abc import Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.suite.selection import each
from bench.suite.workbench import Workbench, may_fork
from mnist_mlp import device
from mnist_mlp.memory import usable_cores
from mnist_mlp.training import epoch

at_each_share = pytest.mark.parametrize("threads", cases.shares_of_cores(), ids="threads={}".format)


@pytest.fixture
def computing_threads(threads: int) -> Iterator[int]:
    """Give torch so many threads while the case runs."""
    with device.threads(threads):
        yield threads


@at_each_share
@each("engine", "resident engines")
def test_threads(
    benchmark: BenchmarkFixture, workbench: Workbench, engine: str, computing_threads: int
) -> None:
    """One pass over resident samples, computed on some of the cores; the other cores idle."""
    size, train = cases.AXIS_BATCH_SIZE, workbench.task.train
    compile_seconds = workbench.compile_seconds(engine, size, train)
    subject = workbench.new_engine(engine)

    benchmark.pedantic(
        epoch,
        args=(subject, train, size),
        kwargs={"generator": torch.Generator().manual_seed(0)},
        rounds=2,
        warmup_rounds=1,
    )

    workbench.record(
        benchmark,
        subject,
        batch_size=size,
        samples=len(train),
        compile_seconds=compile_seconds,
    )
    assert torch.get_num_threads() == computing_threads


@may_fork
@at_each_share
def test_feeding(benchmark: BenchmarkFixture, workbench: Workbench, computing_threads: int) -> None:
    """The question's loop, with a process that loads batches on each core that does not compute."""
    split = workbench.task.train.head(cases.FED_SAMPLES)
    workers = usable_cores() - computing_threads
    subject = workbench.fed_loader(workers=workers)

    benchmark.pedantic(
        epoch,
        args=(subject, split, cases.AXIS_BATCH_SIZE),
        kwargs={"generator": torch.Generator().manual_seed(0)},
        rounds=1,
    )

    workbench.record(
        benchmark,
        subject,
        batch_size=cases.AXIS_BATCH_SIZE,
        samples=len(split),
        workers=workers,
    )
