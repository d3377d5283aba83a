"""One training of a network: between which steps it came to each target accuracy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from mnist_mlp import device
from mnist_mlp.convergence import TracePoint, evaluations
from mnist_mlp.data import Data, Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.engines.native import forms
from mnist_mlp.engines.native.native import Native
from mnist_mlp.model import MLP
from mnist_mlp.training import Walk

FINE, COARSE = 1.03, 1.12  # from one evaluation to the next, near the next target and elsewhere
NEAR = 0.01  # accuracy below the next target
FEWEST_STEPS = 10  # before the first evaluation,
FIRST_PART = 50  # or an epoch over this, where that is more
VALIDATION_PART = 6  # one sixth of the training set: MNIST's last 10,000

Bounds = tuple[int, int]  # steps of the last evaluation below a target, and of the first at it


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is trained in a study."""

    judged_on: str  # "validation": the last sixth of the training set, held out; or "test"
    batch_size: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training went."""

    bounds: Mapping[float, Bounds] = field(default_factory=dict)  # of each target that was reached
    steps: int  # when it ended
    seconds: float = 0.0  # of training until then
    accuracy: float = 0.0  # at its end, a fraction
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


def run(trial: Trial, data: Data, targets: Sequence[float], *, most_steps: int) -> Outcome:
    """Train a trial's fresh network on one thread, in the form that is the same everywhere."""
    train, judge = judged_by(data, trial.judged_on)
    with device.threads(1):
        network, form = MLP(seed=trial.seed), forms.simplest()
        engine = Native(network, learning_rate=trial.learning_rate, form=form)
        walk = new_walk(engine, train, trial.batch_size, seed=trial.seed)
        return to_targets(walk, judge, targets, most_steps=most_steps)


def new_walk(engine: Engine, train: Split, batch_size: int, *, seed: int) -> Walk:
    """Begin a training whose batches a seed decides."""
    return Walk(engine, train, batch_size, generator=torch.Generator().manual_seed(seed))


def to_targets(
    walk: Walk,
    judge: Split,
    targets: Sequence[float],
    *,
    most_steps: int,
    first: int = 0,
    is_over: Callable[[TracePoint], bool] = lambda _: False,
) -> Outcome:
    """Train until the last target is reached, the last step is taken, or the loss diverges.

    Args:
        walk: at its start.
        judge: the samples that accuracy is measured on.
        targets: accuracies, rising.
        most_steps: after which the training ends.
        first: step of the first evaluation, where that is known to lie below the targets.
        is_over: is asked after each evaluation below the last target; True ends the training.

    """
    bounds: dict[float, Bounds] = {}

    def next_step(last: TracePoint | None) -> int | None:
        if last is None:
            step = max(first, FEWEST_STEPS, walk.steps_per_epoch // FIRST_PART)
            return min(step, most_steps)
        missing = [target for target in targets if target not in bounds]
        if not missing or last.steps >= most_steps or is_over(last):
            return None
        ratio = FINE if missing[0] - last.test_accuracy < NEAR else COARSE
        return min(max(last.steps + 1, round(last.steps * ratio)), most_steps)

    below = 0
    for point in evaluations(walk, judge, next_step):
        if not point.diverged:
            reached = (target for target in targets if target <= point.test_accuracy)
            bounds = dict.fromkeys(reached, (below, point.steps)) | bounds
        below = point.steps
    return Outcome(
        bounds=bounds,
        steps=point.steps,
        seconds=point.train_seconds,
        accuracy=point.test_accuracy,
        diverged=point.diverged,
    )
