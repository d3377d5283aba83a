"""Training with evaluations in between, until a target score is reached on the test set."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch

from mnist_mlp.clock import stopwatch
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.evaluation import evaluate
from mnist_mlp.task import Task
from mnist_mlp.training import NotFiniteError, Walk

# From one evaluation to the next, steps grow by this factor or by this part of an epoch,
# whichever is more.
GRID_RATIO = 1.1
EVALUATIONS_PER_EPOCH = 50


@dataclass(frozen=True, kw_only=True)
class TracePoint:
    """One evaluation of a run."""

    train_seconds: float  # evaluations not included
    steps: int
    epochs: float  # fractions counted
    test_score: float
    diverged: bool = False  # a loss was not finite, which ends the run


NextStep = Callable[[TracePoint | None], int | None]
Watch = Callable[[TracePoint], bool | None]


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """What it took to reach the target, or how far the run got."""

    batch_size: int
    steps: int  # optimizer updates, the short last batch included
    epochs: float  # passes over the training set, fractions counted
    train_seconds: float  # evaluations not included
    test_score: float
    reached: bool  # False: the budget was spent, the watcher ended the run, or the loss diverged
    diverged: bool  # a loss that is not finite ended the run
    # An entry per evaluation: training seconds, steps, score on the test set.
    trace: tuple[tuple[float, int, float], ...]


def evaluations(walk: Walk, test: Split, next_step: NextStep) -> Iterator[TracePoint]:
    """Train, and yield an evaluation at each step that `next_step` asks for.

    The clock is paused while the network is evaluated and while the caller looks at the result.

    Args:
        walk: trains the network.
        test: the samples that the score is measured on.
        next_step: receives the last evaluation (None before the first), and returns the step of the
            next evaluation, or None to end.

    """
    started = stopwatch()
    step = next_step(None)
    while step is not None:
        diverged = not _has_advanced(walk, step)
        train_seconds = stopwatch() - started
        with stopwatch.paused():
            point = TracePoint(
                train_seconds=train_seconds,
                steps=walk.steps,
                epochs=walk.epochs,
                test_score=evaluate(walk.engine, test).score,
                diverged=diverged,
            )
            yield point
            step = None if diverged else next_step(point)


def _has_advanced(walk: Walk, steps: int) -> bool:
    """Train up to `steps` steps in all; return False if the loss diverged."""
    try:
        walk.advance(steps - walk.steps)
    except NotFiniteError:
        return False
    return True


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
    task: Task,
    batch_size: int,
    *,
    target: float,
    max_epochs: int,
    generator: torch.Generator,
    watch: Watch | None = None,
) -> Convergence:
    """Train until an evaluation reaches the target, or the budget is spent, or the loss diverges.

    Args:
        engine: trains its network.
        task: holds the training set, and the test set that the score is measured on.
        batch_size: at least 1.
        target: the score to reach.
        max_epochs: the budget.
        generator: shuffles the training set.
        watch: is called with each evaluation while the clock is paused; True ends the run.

    Raises:
        TypeError, ValueError: the batch size is not an int of at least 1; nothing was trained.

    """
    with stopwatch.paused():  # preparing the engine is not training
        walk = Walk(engine, task.train, batch_size, generator=generator)
    grid = evaluation_steps(walk.steps_per_epoch, max_epochs=max_epochs)
    trace = []
    for point in evaluations(walk, task.test, lambda _: next(grid, None)):
        trace.append(point)
        is_stopped = watch is not None and watch(point)
        if is_stopped or point.test_score >= target:
            break
    return Convergence(
        batch_size=batch_size,
        **asdict(point),
        reached=point.test_score >= target and not point.diverged,
        trace=tuple((each.train_seconds, each.steps, each.test_score) for each in trace),
    )
