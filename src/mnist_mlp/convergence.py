"""Training until a target test accuracy is reached."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from mnist_mlp.clock import Stopwatch, stopwatch
from mnist_mlp.data import Data
from mnist_mlp.engines.engine import Engine
from mnist_mlp.evaluation import evaluate
from mnist_mlp.training import NotFiniteError, Walk

GRID_RATIO = 1.1  # steps to target are known to within this factor,
EVALUATIONS_PER_EPOCH = 50  # or this fraction of an epoch, where it is more


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """What it took to reach the target, or how far the budget got."""

    batch_size: int
    steps: int  # optimizer updates, the short last batch included
    epochs: float  # passes over the training set, fractions counted
    train_seconds: float  # evaluations not included
    test_accuracy: float  # fraction of the test set, 0 to 1
    reached: bool  # False: censored, by the budget or because the loss diverged
    diverged: bool  # a loss that is not finite ended the run
    # Of each evaluation: training seconds until then, steps, test accuracy.
    trace: tuple[tuple[float, int, float], ...]


def evaluation_steps(steps_per_epoch: int, *, max_epochs: int) -> Iterator[int]:
    """Steps at which to evaluate: a geometric grid, no denser than it is worth, the budget last."""
    budget_steps = max_epochs * steps_per_epoch
    smallest_gap = max(1, steps_per_epoch // EVALUATIONS_PER_EPOCH)
    step = 0
    while step < budget_steps:
        step = min(max(step + smallest_gap, math.ceil(step * GRID_RATIO)), budget_steps)
        yield step


def train_until(
    engine: Engine,
    data: Data,
    batch_size: int,
    *,
    target_accuracy: float,
    max_epochs: int,
    generator: torch.Generator,
    clock: Stopwatch = stopwatch,
    watch: Callable[[float, float], object] | None = None,
) -> Convergence:
    """Train until an evaluation reaches the target, or the budget is spent, or the loss diverges.

    Args:
        engine: whose network is trained.
        data: the training set, and the test set that decides.
        batch_size: at least 1.
        target_accuracy: fraction of the test set, above 0 and at most 1.
        max_epochs: the budget.
        generator: shuffles.
        clock: measures; it is paused during evaluations.
        watch: told, at each evaluation, the epochs so far and the accuracy.

    Raises:
        TypeError, ValueError: not a batch size; nothing was trained.

    """
    walk = Walk(engine, data.train, batch_size, generator=generator)
    diverged = False
    trace = []
    started = clock()
    for grid_step in evaluation_steps(walk.steps_per_epoch, max_epochs=max_epochs):
        try:
            walk.advance(grid_step - walk.steps)
        except NotFiniteError:
            diverged = True
        train_seconds = clock() - started
        with clock.paused():
            accuracy = evaluate(engine.network, data.test).accuracy
            trace.append((train_seconds, walk.steps, accuracy))
            if watch:
                watch(walk.epochs, accuracy)
        if diverged or accuracy >= target_accuracy:
            break
    return Convergence(
        batch_size=batch_size,
        steps=walk.steps,
        epochs=walk.epochs,
        train_seconds=train_seconds,
        test_accuracy=accuracy,
        reached=accuracy >= target_accuracy and not diverged,
        diverged=diverged,
        trace=tuple(trace),
    )
