"""How long one optimizer step takes."""

import math

from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.measure.memory import peak_memory
from bench.suite.parameters import at_each_batch_size, at_each_engine
from bench.suite.workbench import Workbench
from mnist_mlp.training import step


@at_each_batch_size
@at_each_engine
def test_step(
    benchmark: BenchmarkFixture, workbench: Workbench, engine: str, batch_size: int
) -> None:
    """One optimizer step on a resident batch."""
    benchmark.group = engine
    batch = workbench.data.train.head(batch_size)
    compile_seconds = workbench.compile_seconds(engine, len(batch))
    subject = workbench.new_engine(engine)
    peak = peak_memory(lambda: step(subject, batch.images, batch.labels))

    rounds = cases.rounds("step", peak.seconds)

    loss = benchmark.pedantic(
        step,
        args=(subject, batch.images, batch.labels),
        rounds=rounds,
        warmup_rounds=rounds // 10,
    )

    assert math.isfinite(loss), f"not finite at learning rate {subject.learning_rate:g}"
    workbench.record(
        benchmark,
        subject,
        batch_size=batch_size,
        samples=len(batch),
        peak=peak,
        compile_seconds=compile_seconds,
        **workbench.first_losses(engine, batch_size),
    )
