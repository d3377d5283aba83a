"""One training of a fresh network: between which steps it came to the target."""

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

FINE, COARSE = 1.05, 1.2  # from one evaluation to the next, near the target and elsewhere
NEAR = 0.02  # of the way from the first score to the target
FEWEST_STEPS = 10  # before the first evaluation,
FIRST_PART = 50  # or an epoch over this, where that is more
VALIDATION_PART = 6  # one sixth of the training set
MOST_VALIDATION_SAMPLES = 2_500  # more would take longer, and hardly change what is the best

TEST, VALIDATION = "test", "validation"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is trained."""

    judged_on: str  # VALIDATION: a part of the training set, held out; or TEST
    batch_size: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training went."""

    steps: int  # at its last evaluation, which is the first at the target if it was reached
    below: int  # steps at the evaluation before that
    score: float  # at its end
    reached: bool
    diverged: bool = False
    is_capped: bool = False  # it was ended since it took too many steps to be of interest

    @property
    def steps_to_target(self) -> float:
        """Steps until the target was reached; infinite where it was not."""
        return self.steps if self.reached else math.inf


@cache
def judged_by(task: Task, judged_on: str) -> tuple[Split, Split]:
    """Return the set to train on, and the set that the score is measured on."""
    if judged_on == TEST:
        return task.train, task.test
    samples = len(task.train)
    held_out = min(max(1, samples // VALIDATION_PART), MOST_VALIDATION_SAMPLES)
    # Drawn, since a training set may be sorted, and the same ones in every training.
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(0))
    return task.train.part(order[held_out:]), task.train.part(order[:held_out])


def new_walk(task: Task, train: Split, engine: str, trial: Trial) -> Walk:
    """Begin a training; native takes the form of a step that is the same everywhere."""
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
        trial: what is trained.
        task: of which it is.
        engine: that trains.
        max_epochs: the budget.
        most_steps: is asked after each evaluation; a training that has taken more ends.
        is_over: is asked after each evaluation; where it is True, there is no outcome.

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
    """Do what `run` does with a walk at its start.

    `first` is the step of the first evaluation, where that is known to lie below the target.
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
