"""How long one pass over the training set takes."""

from functools import partial
from typing import Any

import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.measure import floor
from bench.measure.memory import peak_memory
from bench.suite.selection import each
from bench.suite.workbench import Workbench, seconds_of
from mnist_mlp.data import Split
from mnist_mlp.device import is_gpu
from mnist_mlp.engines.engine import Engine
from mnist_mlp.model import MLP
from mnist_mlp.training import epoch


def floor_fraction(
    benchmark: BenchmarkFixture, subject: Engine, split: Split, batch_size: int
) -> dict[str, float]:
    """Return the least possible time of an epoch, as a share of the shortest measured time.

    It is known only for the question's network on a CPU.
    """
    is_known = isinstance(subject.network, MLP) and not is_gpu(subject.device)
    if not (benchmark.stats and is_known):
        return {}
    seconds = floor.epoch_seconds(split, batch_size)
    return {"floor_fraction": seconds / benchmark.stats.stats.min}


@each("batch_size", "batch sizes")
@each("engine", "engines")
def test_epoch(
    benchmark: BenchmarkFixture, workbench: Workbench, engine: str, batch_size: int
) -> None:
    """One pass over the training set, from a fresh network each round."""
    everything = workbench.task.train
    train = everything.head(workbench.options.epoch_samples or len(everything))
    benchmark.group = engine
    compile_seconds = workbench.compile_seconds(engine, batch_size, train)

    def fresh(split: Split = train) -> tuple[tuple[Any, ...], dict[str, Any]]:
        generator = torch.Generator().manual_seed(0)
        return (workbench.new_engine(engine), split, batch_size), {"generator": generator}

    part = train.head(max(cases.MEMORY_SAMPLES, batch_size))
    args, kwargs = fresh(part)
    peak = peak_memory(partial(epoch, *args, **kwargs))
    # In a long first call, the cost of being the first does not matter.
    is_long = peak.seconds > cases.SECONDS["epoch"]
    part_seconds = peak.seconds if is_long else seconds_of(partial(epoch, *args, **kwargs))
    rounds = cases.rounds("epoch", part_seconds * len(train) / len(part))
    mean_loss = benchmark.pedantic(epoch, setup=fresh, rounds=rounds)

    assert mean_loss > 0
    subject, *_ = args  # the engine has taken such steps
    workbench.record(
        benchmark,
        subject,
        batch_size=batch_size,
        samples=len(train),
        peak=peak,
        compile_seconds=compile_seconds,
        **workbench.first_losses(engine, batch_size),
        **floor_fraction(benchmark, subject, train, batch_size),
    )
