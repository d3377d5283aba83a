"""How long one optimizer step takes."""

import math
from functools import partial

from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.measure.memory import peak_memory
from bench.suite.selection import each
from bench.suite.workbench import Workbench, seconds_of
from mnist_mlp.training import NotFiniteError, step


@each("batch_size", "batch sizes")
@each("engine", "engines")
def test_step(
    benchmark: BenchmarkFixture, workbench: Workbench, engine: str, batch_size: int
) -> None:
    """One optimizer step on a resident batch."""
    benchmark.group = engine
    batch = workbench.task.train.head(batch_size)
    compile_seconds = workbench.compile_seconds(engine, batch_size, batch)
    inputs, targets = next(batch.batches(batch_size))
    subject = workbench.new_engine(engine)
    a_step = partial(step, subject, inputs, targets)
    peak = peak_memory(a_step)
    rounds = cases.rounds("step", seconds_of(a_step))

    loss = benchmark.pedantic(
        step,
        args=(subject, inputs, targets),
        rounds=rounds,
        warmup_rounds=rounds // 10,
    )

    if not math.isfinite(loss):
        raise NotFiniteError(f"the loss is not finite at learning rate {subject.learning_rate:g}")
    workbench.record(
        benchmark,
        subject,
        batch_size=batch_size,
        samples=len(targets),
        peak=peak,
        compile_seconds=compile_seconds,
        **workbench.first_losses(engine, batch_size),
    )
