"""Whether powers of two, or threes, are kinder to the machine than their neighbours."""

import math
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.laws import alignment
from bench.laws.alignment import Likeness
from bench.measure import step_time
from bench.measure.step_time import Setting, Subject
from bench.suite.parameters import at_each_aligned_engine
from bench.suite.workbench import Workbench

Judge = Callable[[str, str], Likeness]  # engine, neighbours


@pytest.fixture(scope="session")
def judge(request: pytest.FixtureRequest, workbench: Workbench) -> Judge:
    """Time the sizes of all chosen cases beside each other, once; then judge pairs of them."""
    chosen = [
        (item.callspec.params["engine"], item.callspec.params["neighbours"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_alignment.__name__
    ]
    pairs = {case: _pair(workbench, *map(str, case)) for case in chosen}
    options = workbench.options
    timed = step_time.measure(
        list(dict.fromkeys(subject for pair in pairs.values() for subject in pair)),
        Setting(
            threads=torch.get_num_threads(),
            device=options.device,
            data_root=options.data_root,
            cache_dir=options.cache_dir,
            turn_samples=cases.ALIGNMENT_SAMPLES,
            form_of=min(cases.AXIS_BATCH_SIZE, len(workbench.data.train)),
        ),
        seconds=cases.ALIGNMENT_SECONDS * len({engine for engine, _ in chosen}),
        processes=cases.ALIGNMENT_PROCESSES,
        tell=workbench.tell,
    )
    return lambda *case: alignment.compare(timed, *pairs[case], margin=cases.EQUAL_WITHIN)


def _pair(workbench: Workbench, engine: str, neighbours: str) -> tuple[Subject, Subject]:
    size, beside = (min(int(word), len(workbench.data.train)) for word in neighbours.split("/"))
    return (
        Subject(engine=engine, batch_size=size),
        Subject(engine=engine, batch_size=beside, copy=int(size == beside)),
    )


@pytest.mark.parametrize("neighbours", cases.NEIGHBOURS, ids="neighbours={}".format)
@at_each_aligned_engine
def test_alignment(
    benchmark: BenchmarkFixture,
    workbench: Workbench,
    request: pytest.FixtureRequest,
    engine: str,
    neighbours: str,
) -> None:
    """Full batches of a size in this process; fresh ones judge it beside its neighbour."""
    train = workbench.data.train
    size, beside = (subject.batch_size for subject in _pair(workbench, engine, neighbours))
    compile_seconds = workbench.compile_seconds(engine, size)
    subject = workbench.new_engine(engine)
    batches = math.ceil(cases.AXIS_BATCH_SIZE / size)
    order = torch.arange(min(len(train), size * batches))

    benchmark.pedantic(
        subject.run, args=(train, order, size), rounds=cases.ALIGNMENT_ROUNDS, warmup_rounds=1
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
        judged = request.getfixturevalue("judge")(engine, neighbours)
        benchmark.extra_info.update(asdict(judged))
