"""The verbs of training: step, walk, epoch, fit, resume."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mnist_mlp.batches import clamped, mean_over_samples, shuffled, steps_per_epoch
from mnist_mlp.checkpoint import Checkpoint, Keeper
from mnist_mlp.clock import stopwatch
from mnist_mlp.data import Split
from mnist_mlp.device import Randomness
from mnist_mlp.engines.engine import Engine, UnavailableError
from mnist_mlp.errors import UserError
from mnist_mlp.evaluation import evaluate

CHUNKS_PER_EPOCH = 100  # calls of `watch` per epoch


class NotFiniteError(UserError):
    """Training broke down: a loss is infinite or not a number."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One epoch of a run, and the evaluation after it."""

    epoch: int  # number, from 1
    train_loss: float  # averaged over samples, each before its step's update
    test_loss: float
    test_score: float
    seconds: float  # evaluation not included


def step(engine: Engine, inputs: Tensor, targets: Tensor) -> Tensor:
    """Update once on a resident batch, (B, ...) each, and return its mean loss, a scalar."""
    return engine.step(inputs, targets)


def require_steps(new_engine: Callable[[], Engine], split: Split, batch_size: int) -> None:
    """Take one step of a fresh network on a batch of each size that an epoch has.

    Raises:
        UnavailableError: a step fails, such as a batch normalization on one sample.

    """
    size = clamped(batch_size, len(split))
    for samples in {size, len(split) % size} - {0}:
        engine = new_engine()
        try:
            with Randomness(engine.device).used():
                engine.run(split, torch.arange(samples), samples)
        except UserError:
            raise
        except Exception as error:  # the user's network may raise anything
            cause = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UnavailableError(
                f"{engine.task.name} cannot be trained at batch size {batch_size}: a batch of "
                f"{samples} raises {cause}"
            ) from error


class Walk:
    """Training in stretches of any length, with a new random order at the start of each epoch.

    Args:
        engine: trains its network.
        split: the training set, N samples.
        batch_size: at least 1; from N on, one batch of the whole split.
        generator: shuffles the training set.

    Raises:
        TypeError, ValueError: the batch size is not an int of at least 1.
        UnavailableError: the engine needs a compiler, and there is none.

    """

    def __init__(
        self, engine: Engine, split: Split, batch_size: int, *, generator: torch.Generator
    ) -> None:
        self.engine = engine
        self.split = split
        self.batch_size = clamped(batch_size, len(split))
        engine.prepare(self.batch_size, split)
        self.generator = generator
        self.steps = 0
        self.steps_per_epoch = steps_per_epoch(len(split), self.batch_size)
        self._order = torch.empty(0, dtype=torch.int64)
        self._randomness = Randomness(engine.device)  # state that dropout draws from

    @property
    def epochs(self) -> float:
        """Passes over the training set so far; an unfinished pass counts by its samples."""
        passes, steps = divmod(self.steps, self.steps_per_epoch)
        return passes + steps * self.batch_size / len(self.split)

    def advance(self, steps: int) -> Tensor:
        """Take `steps` more steps and return their losses, (steps,), or raise NotFiniteError."""
        losses = []
        target = self.steps + steps
        with self._randomness.used():
            while self.steps < target:
                position = self.steps % self.steps_per_epoch
                if position == 0:
                    self._order = shuffled(len(self.split), generator=self.generator)
                    self._randomness.seed(self.generator.initial_seed() ^ self.steps)
                end = min(position + target - self.steps, self.steps_per_epoch)
                samples = self._order[position * self.batch_size : end * self.batch_size]
                losses.append(self.engine.run(self.split, samples, self.batch_size))
                self.steps += end - position
        return self._finite(torch.cat(losses))

    def _finite(self, losses: Tensor) -> Tensor:
        if not losses.isfinite().all():
            bad = int(losses.isfinite().logical_not().nonzero()[0]) + 1
            raise _not_finite("the loss of", self.steps - len(losses) + bad, self.engine)
        return losses


def _not_finite(loss: str, step: int, engine: Engine) -> NotFiniteError:
    return NotFiniteError(
        f"{loss} step {step} is not finite at learning rate {engine.learning_rate:g}: "
        "try a lower one"
    )


def epoch(engine: Engine, split: Split, batch_size: int, *, generator: torch.Generator) -> float:
    """Make one full pass in random order, and return the loss averaged over samples."""
    return _finish_epoch(Walk(engine, split, batch_size, generator=generator))


def _finish_epoch(walk: Walk, watch: Callable[[int], object] | None = None) -> float:
    chunk = math.ceil(walk.steps_per_epoch / CHUNKS_PER_EPOCH) if watch else walk.steps_per_epoch
    losses = []
    for first in range(0, walk.steps_per_epoch, chunk):
        losses.append(walk.advance(min(chunk, walk.steps_per_epoch - first)))
        if watch:
            watch(len(losses[-1]))
    return mean_over_samples(torch.cat(losses), len(walk.split), walk.batch_size)


def resume(walk: Walk, checkpoint: Checkpoint) -> None:
    """Set the walk's network, optimizer, generator and steps to those of the checkpoint.

    Raises:
        UserError: the task's network or optimizer has changed since.

    """
    try:
        walk.engine.network.load_state_dict(checkpoint.network)
        if walk.engine.optimizer and checkpoint.optimizer:
            walk.engine.optimizer.load_state_dict(checkpoint.optimizer)
    except (RuntimeError, ValueError) as error:
        fault = " ".join(str(error).split())
        raise UserError(
            f"the checkpoint is of another network or optimizer ({fault}): start a new run"
        ) from error
    walk.generator.set_state(checkpoint.generator)
    walk.steps = checkpoint.epoch * walk.steps_per_epoch


def fit(
    walk: Walk,
    test: Split,
    *,
    epochs: int,
    keeper: Keeper | None = None,
    watch: Callable[[int], object] | None = None,
) -> Iterator[EpochReport]:
    """Train up to epoch `epochs`, and report each epoch as it ends.

    Args:
        walk: the training so far, at the start of an epoch.
        test: the test set, on which each epoch ends with an evaluation.
        epochs: number of epochs of the whole run, including the epochs that the walk has made.
        keeper: keeps the best and the last checkpoint.
        watch: is called now and then with the number of steps since its last call.

    """
    for number in range(walk.steps // walk.steps_per_epoch + 1, epochs + 1):
        started = stopwatch()
        train_loss = _finish_epoch(walk, watch)
        seconds = stopwatch() - started
        evaluation = evaluate(walk.engine, test)
        if not math.isfinite(evaluation.loss):
            raise _not_finite("the test loss after", walk.steps, walk.engine)
        if keeper:
            keeper.keep(walk.engine, walk.generator, epoch=number, test_loss=evaluation.loss)
        yield EpochReport(
            epoch=number,
            train_loss=train_loss,
            test_loss=evaluation.loss,
            test_score=evaluation.score,
            seconds=seconds,
        )
