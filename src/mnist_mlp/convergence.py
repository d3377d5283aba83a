"""Training until a target test accuracy is reached."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch

from mnist_mlp.clock import Stopwatch, stopwatch
from mnist_mlp.data import Data, Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.evaluation import evaluate
from mnist_mlp.training import NotFiniteError, Walk

GRID_RATIO = 1.1  # from one evaluation to the next, steps grow by at most this factor,
EVALUATIONS_PER_EPOCH = 50  # or by this part of an epoch where that is more


@dataclass(frozen=True, kw_only=True)
class TracePoint:
    """One evaluation of a run."""

    train_seconds: float  # until then, evaluations not included
    steps: int
    epochs: float  # fractions counted
    test_accuracy: float  # fraction of the test set, 0 to 1


Watch = Callable[[TracePoint], bool | None]


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """What it took to reach the target, or how far the run got."""

    batch_size: int
    steps: int  # optimizer updates, the short last batch included
    epochs: float  # passes over the training set, fractions counted
    train_seconds: float  # evaluations not included
    test_accuracy: float  # fraction of the test set, 0 to 1
    reached: bool  # False: censored by the budget, by the watcher, or because the loss diverged
    diverged: bool  # a loss that is not finite ended the run
    # Of each evaluation: training seconds until then, steps, test accuracy.
    trace: tuple[tuple[float, int, float], ...]


def evaluation_steps(steps_per_epoch: int, *, max_epochs: int) -> Iterator[int]:
    """Yield the steps at which to evaluate: a geometric grid that ends with the budget."""
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
    watch: Watch | None = None,
) -> Convergence:
    """Train until an evaluation reaches the target, or the budget is spent, or the loss diverges.

    Args:
        engine: whose network is trained.
        data: the training set, and the test set that accuracy is measured on.
        batch_size: at least 1.
        target_accuracy: fraction of the test set, above 0 and at most 1.
        max_epochs: the budget.
        generator: for shuffling.
        clock: measures training time; it is paused before the first step and during evaluations.
        watch: is called with each evaluation while the clock is paused; True ends the run.

    Raises:
        TypeError, ValueError: not a batch size; nothing was trained.

    """
    with clock.paused():  # choosing a form of a step is no training
        walk = Walk(engine, data.train, batch_size, generator=generator)
    trace = []
    started = clock()
    for grid_step in evaluation_steps(walk.steps_per_epoch, max_epochs=max_epochs):
        diverged = not _has_advanced(walk, grid_step)
        train_seconds = clock() - started
        with clock.paused():
            point = _evaluated(walk, data.test, train_seconds)
            trace.append(point)
            is_stopped = watch is not None and watch(point)
        if diverged or is_stopped or point.test_accuracy >= target_accuracy:
            break
    return Convergence(
        batch_size=batch_size,
        **asdict(point),
        reached=point.test_accuracy >= target_accuracy and not diverged,
        diverged=diverged,
        trace=tuple((each.train_seconds, each.steps, each.test_accuracy) for each in trace),
    )


def _has_advanced(walk: Walk, steps: int) -> bool:
    """Train up to so many steps; False if the loss diverged."""
    try:
        walk.advance(steps - walk.steps)
    except NotFiniteError:
        return False
    return True


def _evaluated(walk: Walk, test: Split, train_seconds: float) -> TracePoint:
    return TracePoint(
        train_seconds=train_seconds,
        steps=walk.steps,
        epochs=walk.epochs,
        test_accuracy=evaluate(walk.engine.logits, test).accuracy,
    )
