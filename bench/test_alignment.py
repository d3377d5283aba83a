"""Whether batch sizes such as powers of two are faster per sample than their neighbours."""

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import cache

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.laws import alignment
from bench.laws.alignment import Likeness
from bench.measure import step_time
from bench.measure.step_time import Setting, StepSeconds
from bench.suite.selection import each
from bench.suite.workbench import Workbench
from mnist_mlp.batches import clamped

Judge = Callable[[str, str], Likeness]  # engine, neighbours


@pytest.fixture(scope="session")
def judge(workbench: Workbench) -> Judge:
    """Time all sizes of an engine in turns, once, whichever pairs are asked for."""
    samples = len(workbench.task.train)
    setting = Setting(
        threads=torch.get_num_threads(),
        source=workbench.source,
        turn_samples=cases.ALIGNMENT_SAMPLES,
        form_of=clamped(cases.AXIS_BATCH_SIZE, samples),
    )

    @cache
    def timed(engine: str) -> StepSeconds:
        pairs = [_sizes(workbench, neighbours) for neighbours in cases.NEIGHBOURS]
        return step_time.measure(
            alignment.subjects(engine, pairs, samples),
            setting,
            seconds=cases.ALIGNMENT_SECONDS,
            processes=cases.ALIGNMENT_PROCESSES,
            tell=workbench.tell,
        )

    return lambda engine, neighbours: alignment.compare(
        timed(engine), *_sizes(workbench, neighbours)
    )


def _sizes(workbench: Workbench, neighbours: str) -> tuple[int, int]:
    samples = len(workbench.task.train)
    size, beside = (clamped(int(word), samples) for word in neighbours.split("/"))
    return size, beside


@pytest.mark.parametrize("neighbours", cases.NEIGHBOURS, ids="neighbours={}".format)
@each("engine", "aligned engines")
def test_alignment(
    benchmark: BenchmarkFixture,
    workbench: Workbench,
    request: pytest.FixtureRequest,
    engine: str,
    neighbours: str,
) -> None:
    """Full batches of a size are timed here, and compared with its neighbour in new processes."""
    size, beside = _sizes(workbench, neighbours)
    compile_seconds = workbench.compile_seconds(engine, size, workbench.task.train)
    subject = workbench.new_engine(engine)
    order = workbench.places(size * math.ceil(cases.AXIS_BATCH_SIZE / size))

    benchmark.pedantic(
        subject.run,
        args=(workbench.task.train, order, size),
        rounds=cases.ALIGNMENT_ROUNDS,
        warmup_rounds=1,
    )

    workbench.record(
        benchmark,
        subject,
        batch_size=size,
        samples=len(order),
        compile_seconds=compile_seconds,
        beside=beside,
    )
    if benchmark.stats:
        likeness = request.getfixturevalue("judge")(engine, neighbours)
        benchmark.extra_info.update(asdict(likeness))
