"""Runs of a search for the best batch size: trained, shown, and ended when they are too slow."""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.progress import Progress

from bench.search.findings import name
from bench.search.race import Ending, Run, TimeUpError, Trial
from mnist_mlp.learning_rate import RULES

if TYPE_CHECKING:
    from mnist_mlp.clock import Stopwatch
    from mnist_mlp.data import Data


class _CappedError(Exception):
    """A run took longer than its cap."""


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Trains as a trial says."""

    options: argparse.Namespace
    data: "Data"
    deadline: float  # by time.monotonic
    progress: Progress

    def train(self, trial: Trial) -> Run:
        """Compile what is needed, then train until the target, the cap or the last epoch."""
        import torch  # noqa: PLC0415

        from mnist_mlp import batches, clock, convergence, engines, model  # noqa: PLC0415

        self._show(f"{name(trial)}: preparing")
        engine = engines.load(self.options.engine)(
            model.MLP(seed=trial.seed).to(self.options.device),
            learning_rate=RULES[trial.lr_rule](self.options.lr, trial.batch_size),
            precision=self.options.precision,
        )
        prepare_seconds = engine.prepare(trial.batch_size)
        steps_per_epoch = batches.steps_per_epoch(len(self.data.train), trial.batch_size)
        watch = _Watch(
            trial=trial,
            target_accuracy=self.options.target_accuracy,
            deadline=self.deadline,
            grid=convergence.evaluation_steps(steps_per_epoch, max_epochs=self.options.max_epochs),
            clock=clock.stopwatch,
            show=self._show,
            started=clock.stopwatch(),
        )
        try:
            found = convergence.train_until(
                engine,
                self.data,
                trial.batch_size,
                target_accuracy=self.options.target_accuracy,
                max_epochs=self.options.max_epochs,
                generator=torch.Generator().manual_seed(trial.seed),
                watch=watch,
            )
        except _CappedError:
            return watch.capped(prepare_seconds)
        missed = Ending.DIVERGED if found.diverged else Ending.MISSED
        return Run(
            trial=trial,
            prepare_seconds=prepare_seconds,
            train_seconds=found.train_seconds,
            steps=found.steps,
            test_accuracy=found.test_accuracy,
            ending=Ending.REACHED if found.reached else missed,
        )

    def _show(self, text: str) -> None:
        """Draw the live line, beside a bar of the time that is spent."""
        task = next(iter(self.progress.task_ids), None)
        if task is None:
            task = self.progress.add_task("", total=self.options.time_limit)
        spent = self.options.time_limit - (self.deadline - time.monotonic())
        self.progress.update(task, description=text, completed=spent, refresh=True)


@dataclass(kw_only=True)
class _Watch:
    """Told of each evaluation, while the training clock stands still: shows it, ends the run."""

    trial: Trial
    target_accuracy: float
    deadline: float
    grid: Iterator[int]  # steps of each evaluation
    clock: "Stopwatch"
    show: Callable[[str], None]
    started: float  # by the clock
    steps: int = 0
    test_accuracy: float = 0.0

    def __call__(self, epochs: float, accuracy: float) -> None:
        self.steps, self.test_accuracy = next(self.grid), accuracy
        self.show(f"{name(self.trial)}: epoch {epochs:.2f}, test accuracy {accuracy:.3f}")
        if accuracy >= self.target_accuracy:
            return
        if time.monotonic() >= self.deadline:
            raise TimeUpError
        if self.clock() - self.started > self.trial.cap_seconds:
            raise _CappedError

    def capped(self, prepare_seconds: float) -> Run:
        """The run that was ended."""
        return Run(
            trial=self.trial,
            prepare_seconds=prepare_seconds,
            train_seconds=self.clock() - self.started,
            steps=self.steps,
            test_accuracy=self.test_accuracy,
            ending=Ending.CAPPED,
        )
