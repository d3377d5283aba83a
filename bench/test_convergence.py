"""How long it takes to train to a target test accuracy."""

from dataclasses import asdict, replace
from functools import partial
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.instruments.memory import peak_memory
from bench.suite.workbench import Workbench
from mnist_mlp.clock import stopwatch
from mnist_mlp.convergence import train_until
from mnist_mlp.data import Data
from mnist_mlp.evaluation import CACHE_SIZED_BATCH
from mnist_mlp.learning_rate import RULES


@pytest.mark.benchmark(timer=stopwatch)  # which stands still during evaluations
def test_convergence(
    benchmark: BenchmarkFixture,
    workbench: Workbench,
    engine: str,
    batch_size: int,
    *,
    lr_rule: str,
    seed: int,
) -> None:
    """Training time to the target; a budget spent without reaching it is a result."""
    data, options = workbench.data, workbench.options
    learning_rate = RULES[lr_rule](options.learning_rate, min(batch_size, len(data.train)))
    effort = cases.effort("convergence", engine, batch_size)
    compile_seconds = workbench.compile_seconds(engine, batch_size)

    def fresh(
        data: Data = data, max_epochs: int = options.max_epochs
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (
            workbench.new_engine(engine, seed=seed, learning_rate=learning_rate),
            data,
            batch_size,
        ), {
            "target_accuracy": options.target_accuracy,
            "max_epochs": max_epochs,
            "generator": torch.Generator().manual_seed(seed),
            "watch": lambda epochs, accuracy: workbench.tell(
                f"epoch {epochs:.2f} of {max_epochs}, test accuracy {accuracy:.3f}"
            ),
        }

    part = replace(
        data,
        train=data.train.head(max(effort.memory_samples, batch_size)),
        test=data.test.head(CACHE_SIZED_BATCH),  # at once; more take longer, and no more memory
    )
    args, kwargs = fresh(part, max_epochs=1)
    peak = peak_memory(partial(train_until, *args, **kwargs))
    convergence = benchmark.pedantic(train_until, setup=fresh, rounds=effort.rounds)

    assert convergence.epochs <= options.max_epochs
    workbench.record(
        benchmark,
        engine=engine,
        samples=convergence.epochs * len(data.train),
        peak=peak,
        compile_seconds=compile_seconds,
        lr_rule=lr_rule,
        learning_rate=learning_rate,
        seed=seed,
        target_accuracy=options.target_accuracy,
        max_epochs=options.max_epochs,
        **asdict(convergence),
    )
