"""One training of the study: between which steps it came to each target accuracy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from mnist_mlp import device
from mnist_mlp.clock import stopwatch
from mnist_mlp.data import Data, Split
from mnist_mlp.engines.native import forms
from mnist_mlp.engines.native.native import Native
from mnist_mlp.evaluation import evaluate
from mnist_mlp.model import MLP
from mnist_mlp.training import NotFiniteError, Walk

FINE, COARSE = 1.03, 1.12  # from one evaluation to the next, near the next target and elsewhere
NEAR = 0.01  # accuracy below the next target
EARLIEST = 0.5  # of the steps that a run is expected to take: none reaches its target earlier
FEWEST_STEPS = 10  # before the first evaluation,
FIRST_PART = 50  # or an epoch over this, where that is more
VALIDATION_PART = 6  # one sixth of the training set: MNIST's last 10,000

Bounds = tuple[int, int]  # steps of the last evaluation below a target, and of the first at it


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is trained."""

    judged_on: str  # "validation": the last sixth of the training set, held out; or "test"
    batch_size: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run to be made, until its last target or for so many steps."""

    setting: Setting
    targets: tuple[float, ...]  # accuracies, rising
    most_steps: int  # a run that takes them is censored there


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it went."""

    bounds: Mapping[float, Bounds]  # of each target that was reached
    steps: int  # when it ended
    diverged: bool = False

    def steps_to(self, target: float) -> float:
        """Steps of the first evaluation at the target; infinite where none was."""
        return self.bounds[target][1] if target in self.bounds else float("inf")


def judged_by(data: Data, judged_on: str) -> tuple[Split, Split]:
    """Return the set to train on, and the set that accuracy is measured on."""
    if judged_on == "test":
        return data.train, data.test
    held_out = len(data.train) // VALIDATION_PART
    return data.train.head(len(data.train) - held_out), data.train.tail(held_out)


def train(task: Task, data: Data) -> Outcome:
    """Train on one thread until the last target, or the last step, or until the loss diverges."""
    setting = task.setting
    subject, judge = judged_by(data, setting.judged_on)
    with device.threads(1):
        engine = Native(
            MLP(seed=setting.seed), learning_rate=setting.learning_rate, form=forms.simplest()
        )
        generator = torch.Generator().manual_seed(setting.seed)
        walk = Walk(engine, subject, setting.batch_size, generator=generator)
        return _until(walk, judge, task)


def _until(walk: Walk, judge: Split, task: Task) -> Outcome:
    bounds: dict[float, Bounds] = {}
    try:
        for point in evaluations(walk, judge, task.targets, task.most_steps):
            for target in task.targets:
                if target <= point.accuracy and target not in bounds:
                    bounds[target] = point.below, walk.steps
    except NotFiniteError:
        return Outcome(bounds=bounds, steps=walk.steps, diverged=True)
    return Outcome(bounds=bounds, steps=walk.steps)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The accuracy that a run has come to."""

    below: int  # steps at the evaluation before this one
    steps: int
    seconds: float  # of training until now
    accuracy: float  # fraction of the samples that judge it


def to_target(
    walk: Walk,
    judge: Split,
    target: float,
    expected_steps: float,
    *,
    budget: float,
) -> Evaluation | None:
    """Train to a target that is expected after so many steps; return the last evaluation.

    Args:
        walk: at its start.
        judge: the samples that accuracy is measured on.
        target: accuracy.
        expected_steps: to the target.
        budget: times those, after which the run ends.

    Returns:
        None where the loss is no longer finite.

    """
    points = evaluations(
        walk,
        judge,
        (target,),
        round(budget * expected_steps),
        first=round(EARLIEST * expected_steps),
    )
    try:
        *_, last = points
    except NotFiniteError:
        return None
    return last


def evaluations(
    walk: Walk,
    judge: Split,
    targets: Sequence[float],
    most_steps: int,
    *,
    first: int = 0,
) -> Iterator[Evaluation]:
    """Train until the last target is reached or the last step is taken, and evaluate in between.

    Args:
        walk: at its start.
        judge: the samples that accuracy is measured on.
        targets: accuracies, rising.
        most_steps: after which the run ends.
        first: step of the first evaluation, where that is known to lie below the targets.

    Raises:
        NotFiniteError: the loss is no longer finite.

    """
    below, best = 0, 0.0
    step = max(first, FEWEST_STEPS, walk.steps_per_epoch // FIRST_PART)
    started = stopwatch()
    while best < targets[-1] and walk.steps < most_steps:
        walk.advance(min(step, most_steps) - walk.steps)
        seconds = stopwatch() - started
        with stopwatch.paused():
            accuracy = evaluate(walk.engine.logits, judge).accuracy
        yield Evaluation(below=below, steps=walk.steps, seconds=seconds, accuracy=accuracy)
        below, best = walk.steps, max(best, accuracy)
        missing = [target for target in targets if target > best]
        ratio = FINE if missing and missing[0] - accuracy < NEAR else COARSE
        step = max(walk.steps + 1, round(walk.steps * ratio))
