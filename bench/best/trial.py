"""One training of a fresh network, and the steps between which it reached the target."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from mnist_mlp import engines
from mnist_mlp.convergence import TracePoint, evaluations
from mnist_mlp.data import Split
from mnist_mlp.engines.native import forms
from mnist_mlp.engines.native.native import Native
from mnist_mlp.task import Task
from mnist_mlp.training import Walk

FINE, COARSE = 1.05, 1.2  # ratio of steps between evaluations, near the target and elsewhere
NEAR = 0.02  # share of the way from the first score to the target
FEWEST_STEPS = 10  # fewest steps before the first evaluation
FIRST_PART = 50  # an epoch over this comes before the first evaluation, if that is more
VALIDATION_PART = 6  # one sixth of the training set
MOST_VALIDATION_SAMPLES = 2_500  # more would take longer, and hardly change the best rate

TEST, VALIDATION = "test", "validation"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What to train, and what to judge it on."""

    judged_on: str  # VALIDATION: a part of the training set, held out; or TEST
    batch_size: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training went."""

    steps: int  # steps at the last evaluation, the first at the target if it was reached
    below: int  # steps at the evaluation before that
    score: float  # score at the end
    reached: bool
    diverged: bool = False
    is_capped: bool = False  # ended early: too many steps to be of interest

    @property
    def steps_to_target(self) -> float:
        """Steps until the target was reached; infinite if it was not."""
        return self.steps if self.reached else math.inf


@cache
def judged_by(task: Task, judged_on: str) -> tuple[Split, Split]:
    """Return the set to train on, and the set that the score is measured on."""
    if judged_on == TEST:
        return task.train, task.test
    samples = len(task.train)
    held_out = min(max(1, samples // VALIDATION_PART), MOST_VALIDATION_SAMPLES)
    # Drawn, since a training set may be sorted; every training draws the same samples.
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(0))
    return task.train.part(order[held_out:]), task.train.part(order[:held_out])


def new_walk(task: Task, train: Split, engine: str, trial: Trial) -> Walk:
    """Begin a training; native takes the form of a step that is the same on every machine."""
    form = {"form": forms.simplest()} if engine == Native.name else {}
    rate, seed = trial.learning_rate, trial.seed
    subject = engines.new(engine, task, seed=seed, learning_rate=rate, **form)
    return Walk(subject, train, trial.batch_size, generator=torch.Generator().manual_seed(seed))


def run(
    trial: Trial,
    task: Task,
    engine: str,
    *,
    max_epochs: int,
    most_steps: Callable[[], float] = lambda: math.inf,
    is_over: Callable[[], bool] = lambda: False,
) -> Outcome | None:
    """Train until the task's target is reached, the budget is spent, or the loss diverges.

    Args:
        trial: what to train.
        task: the task of the trial.
        engine: the name of the engine.
        max_epochs: the budget.
        most_steps: is asked after each evaluation; a training that has taken more ends.
        is_over: is asked after each evaluation; if it is True, there is no outcome.

    """
    train, judge = judged_by(task, trial.judged_on)
    walk = new_walk(task, train, engine, trial)
    budget = max_epochs * walk.steps_per_epoch
    return to_target(
        walk, judge, task.target, budget=budget, most_steps=most_steps, is_over=is_over
    )


def to_target(
    walk: Walk,
    judge: Split,
    target: float,
    *,
    budget: int,
    first: int = 0,
    most_steps: Callable[[], float] = lambda: math.inf,
    is_over: Callable[[], bool] = lambda: False,
) -> Outcome | None:
    """Train as `run` does, with a walk at its start.

    `first` is the step of the first evaluation, if it is known to lie below the target.
    """
    first_score: float | None = None

    def next_step(last: TracePoint | None) -> int | None:
        if last is None:
            step = max(first, FEWEST_STEPS, walk.steps_per_epoch // FIRST_PART)
            return min(step, budget)
        enough = last.test_score >= target or last.steps >= min(budget, most_steps())
        if enough or is_over():
            return None
        way = target - (last.test_score if first_score is None else first_score)
        ratio = FINE if target - last.test_score < NEAR * way else COARSE
        return min(max(last.steps + 1, round(last.steps * ratio)), budget)

    below, before = 0, 0
    for point in evaluations(walk, judge, next_step):
        first_score = point.test_score if first_score is None else first_score
        below, before = before, point.steps
    reached = point.test_score >= target and not point.diverged
    is_spent = reached or point.diverged or point.steps >= budget
    if not is_spent and is_over():
        return None
    return Outcome(
        steps=point.steps,
        below=below,
        score=point.test_score,
        reached=reached,
        diverged=point.diverged,
        is_capped=not is_spent,
    )
