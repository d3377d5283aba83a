"""The verbs of training: step, walk, epoch, fit."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mnist_mlp.batches import check_batch_size, mean_over_samples, shuffled, steps_per_epoch
from mnist_mlp.checkpoint import Checkpoint, Keeper, Settings
from mnist_mlp.clock import stopwatch
from mnist_mlp.data import Data, Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.evaluation import evaluate

CHUNKS_PER_EPOCH = 100  # how often a watched epoch says how far it is


class NotFiniteError(Exception):
    """Training broke down: a loss that is infinite or not a number."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One epoch of a run, and the evaluation after it."""

    epoch: int  # from 1
    train_loss: float  # averaged over samples, each before its step's update
    test_loss: float
    test_accuracy: float  # fraction of the test set, 0 to 1
    seconds: float  # evaluation not included


def step(engine: Engine, images: Tensor, labels: Tensor) -> Tensor:
    """One optimizer update on a resident batch, (B, 784) and (B,); its mean loss, a scalar."""
    return engine.step(images, labels)


class Walk:
    """Training in stretches of any length, reshuffled at the start of each epoch.

    Args:
        engine: whose network is trained.
        split: the training set, N samples.
        batch_size: at least 1; from N on, one batch of the whole split.
        generator: shuffles.
        steps: taken before, a whole number of epochs.

    Raises:
        TypeError, ValueError: not a batch size.
        CompilerError: the engine needs a compiler, and there is none.

    """

    def __init__(
        self,
        engine: Engine,
        split: Split,
        batch_size: int,
        *,
        generator: torch.Generator,
        steps: int = 0,
    ) -> None:
        self.engine = engine
        self.split = split
        self.batch_size = min(check_batch_size(batch_size), len(split))
        engine.prepare(self.batch_size)
        self.generator = generator
        self.steps = steps
        self.steps_per_epoch = steps_per_epoch(len(split), batch_size)
        self._order = torch.empty(0, dtype=torch.int64)

    @property
    def epochs(self) -> float:
        """Passes over the training set so far, a pass under way counted by its samples."""
        passes, steps = divmod(self.steps, self.steps_per_epoch)
        return passes + steps * self.batch_size / len(self.split)

    def advance(self, steps: int) -> Tensor:
        """Take `steps` more steps: their losses, (steps,).

        Raises:
            NotFiniteError: a step's loss is infinite or not a number.

        """
        losses = []
        target = self.steps + steps
        while self.steps < target:
            position = self.steps % self.steps_per_epoch
            if position == 0:
                self._order = shuffled(len(self.split), generator=self.generator)
            end = min(position + target - self.steps, self.steps_per_epoch)
            samples = self._order[position * self.batch_size : end * self.batch_size]
            losses.append(self.engine.run(self.split, samples, self.batch_size))
            self.steps += end - position
        return self._finite(torch.cat(losses))

    def _finite(self, losses: Tensor) -> Tensor:
        if not losses.isfinite().all():
            bad = int(losses.isfinite().logical_not().nonzero()[0]) + 1
            raise NotFiniteError(
                f"the loss of step {self.steps - len(losses) + bad} is not finite at learning rate "
                f"{self.engine.learning_rate:g}: try a lower one"
            )
        return losses


def epoch(engine: Engine, split: Split, batch_size: int, *, generator: torch.Generator) -> float:
    """One full pass in random order; the loss averaged over samples.

    Raises:
        TypeError, ValueError: not a batch size; nothing was trained.
        NotFiniteError: a step's loss is infinite or not a number.

    """
    return _finish_epoch(Walk(engine, split, batch_size, generator=generator))


def _finish_epoch(walk: Walk, watch: Callable[[int], object] | None = None) -> float:
    chunk = math.ceil(walk.steps_per_epoch / CHUNKS_PER_EPOCH) if watch else walk.steps_per_epoch
    losses = []
    for first in range(0, walk.steps_per_epoch, chunk):
        losses.append(walk.advance(min(chunk, walk.steps_per_epoch - first)))
        if watch:
            watch(len(losses[-1]))
    return mean_over_samples(torch.cat(losses), len(walk.split), walk.batch_size)


def fit(
    engine: Engine,
    data: Data,
    batch_size: int,
    *,
    epochs: int,
    generator: torch.Generator,
    settings: Settings,
    keeper: Keeper | None = None,
    resumed: Checkpoint | None = None,
    watch: Callable[[int], object] | None = None,
) -> Iterator[EpochReport]:
    """Train up to epoch `epochs`, reporting each as it ends.

    Args:
        engine: whose network is trained.
        data: the training set, and the test set that each epoch ends with.
        batch_size: at least 1.
        epochs: of the whole run, those before `resumed` included.
        generator: shuffles.
        settings: what the checkpoints say the run was started with.
        keeper: keeps the best and the last checkpoint.
        resumed: go on from here: network, generator and epoch count are set to its.
        watch: told, now and then, how many steps were taken since it was last told.

    Raises:
        TypeError, ValueError: not a batch size; nothing was trained.
        NotFiniteError: training broke down; what was kept stays.
        CheckpointError: a checkpoint cannot be written.

    """
    completed, best_test_loss = 0, math.inf
    if resumed:
        engine.network.load_state_dict(resumed.network)
        generator.set_state(resumed.generator)
        completed, best_test_loss = resumed.epoch, resumed.best_test_loss
    steps = completed * steps_per_epoch(len(data.train), batch_size)
    walk = Walk(engine, data.train, batch_size, generator=generator, steps=steps)
    for number in range(completed + 1, epochs + 1):
        started = stopwatch()
        train_loss = _finish_epoch(walk, watch)
        seconds = stopwatch() - started
        evaluation = evaluate(engine.network, data.test)
        if not math.isfinite(evaluation.loss):
            raise NotFiniteError(
                f"the test loss after step {walk.steps} is not finite at learning rate "
                f"{engine.learning_rate:g}: try a lower one"
            )
        best_test_loss = min(best_test_loss, evaluation.loss)
        if keeper:
            keeper.keep(
                Checkpoint(
                    settings=settings,
                    network=engine.network.state_dict(),
                    generator=generator.get_state(),
                    epoch=number,
                    test_loss=evaluation.loss,
                    best_test_loss=best_test_loss,
                )
            )
        yield EpochReport(
            epoch=number,
            train_loss=train_loss,
            test_loss=evaluation.loss,
            test_accuracy=evaluation.accuracy,
            seconds=seconds,
        )
