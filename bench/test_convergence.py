"""How long it takes to train to a target score on the test set."""

from dataclasses import asdict, replace
from functools import partial
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.measure.memory import peak_memory
from bench.suite.selection import each
from bench.suite.workbench import Workbench
from mnist_mlp import learning_rate
from mnist_mlp.batches import clamped
from mnist_mlp.clock import stopwatch
from mnist_mlp.convergence import train_until
from mnist_mlp.evaluation import CACHE_SIZED_BATCH
from mnist_mlp.task import Task


@each("seed", "seeds")
@each("lr_rule", "lr rules")
@each("batch_size", "training batch sizes")
@each("engine", "training engines")
@pytest.mark.benchmark(timer=stopwatch)  # stopped during evaluations
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
    task, options = workbench.task, workbench.options
    size = clamped(batch_size, len(task.train))
    rate = learning_rate.at(
        lr_rule, size, rate=options.lr, own=clamped(task.batch_size, len(task.train))
    )
    training = (engine, batch_size, lr_rule)
    is_first = seed == options.seeds[0]
    if training in workbench.hopeless and not is_first:
        pytest.skip("the first seed missed the target by far, so other seeds are not tried")
    compile_seconds = workbench.compile_seconds(engine, batch_size, task.train)

    def fresh(task: Task, max_epochs: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        subject = workbench.new_engine(engine, seed=seed, learning_rate=rate)
        return (subject, task, batch_size), {
            "target": options.target_accuracy,
            "max_epochs": max_epochs,
            "generator": torch.Generator().manual_seed(seed),
            "watch": lambda point: workbench.tell(
                f"epoch {point.epochs:.2f} of {max_epochs}, "
                f"{task.score_name} {point.test_score:#.3g}"
            ),
        }

    # A part needs the memory of all data in less time: evaluation takes this many samples at once.
    train = task.train.head(max(cases.MEMORY_SAMPLES, batch_size))
    part = replace(task, train=train, test=task.test.head(CACHE_SIZED_BATCH))
    args, kwargs = fresh(part, max_epochs=1)
    peak = peak_memory(partial(train_until, *args, **kwargs))
    measured = partial(fresh, task, options.max_epochs)
    convergence = benchmark.pedantic(train_until, setup=measured, rounds=1)

    assert convergence.epochs <= options.max_epochs
    setting: dict[str, Any] = {"lr_rule": lr_rule, "seed": seed}
    missed_by = options.target_accuracy - convergence.test_score
    is_hopeless = missed_by > cases.CLEARLY_MISSED and task.is_judged_by_accuracy
    if is_hopeless and is_first and not options.full:
        workbench.hopeless.add(training)
        setting["seeds_left_out"] = len(options.seeds) - 1
    setting |= {"target_score": options.target_accuracy, "max_epochs": options.max_epochs}
    setting |= {"score_name": task.score_name}
    samples = convergence.epochs * len(task.train)
    fields = setting | asdict(convergence) | {"compile_seconds": compile_seconds}
    workbench.record(benchmark, args[0], samples=samples, peak=peak, **fields)
    assert not convergence.diverged, f"the loss is not finite at learning rate {rate:g}"
