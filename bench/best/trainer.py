"""Trains the runs of a search, shows how they go, and ends those that are too slow."""

import argparse
import time
from dataclasses import dataclass
from functools import cached_property

import torch
from rich.progress import Progress

from bench.best.race import Ending, TimeUpError, Trial, TrialResult
from mnist_mlp import cache, datasets, device, engines
from mnist_mlp.convergence import Convergence, TracePoint, train_until
from mnist_mlp.data import Data
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.learning_rate import RULES
from mnist_mlp.memory import PROBES, BatchMemory, NotEnoughMemoryError
from mnist_mlp.model import MLP

# What keeps a search from starting, each with a sentence for its user.
OBSTACLES = (cache.CacheError, datasets.DataError, UnavailableError, NotEnoughMemoryError)


def prepare(options: argparse.Namespace) -> Data:
    """Set the device and the threads, load the data, and print what the search is about.

    Raises:
        OBSTACLES: the search cannot start.

    """
    device.use(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    data = datasets.load(
        data_root=options.data_root, cache_dir=options.cache_dir, device=options.device
    )
    print(
        f"{data.name}, {options.engine} engine, {options.device}, {torch.get_num_threads()} "
        f"threads: to test accuracy {options.target_accuracy:g} in at most "
        f"{options.max_epochs} epochs, {options.time_limit:g} s for the whole search",
        flush=True,
    )
    return data


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Carries out trials."""

    options: argparse.Namespace
    data: Data
    deadline: float  # by time.monotonic
    progress: Progress

    def train(self, trial: Trial) -> TrialResult:
        """Compile what is needed, then train until the target, the cap or the last epoch.

        Raises:
            TimeUpError: the deadline ended the run.
            NotEnoughMemoryError: the batch does not fit.

        """
        self._show(f"{trial.name}: preparing")
        train = self.data.train
        engine = engines.load(self.options.engine)(
            MLP(seed=trial.seed).to(self.options.device),
            learning_rate=RULES[trial.lr_rule](self.options.lr, trial.batch_size),
        )
        # What small batches compile is compiled once, and a prediction of memory uses them.
        prepare_seconds = engine.prepare(min(trial.batch_size, PROBES[0]), train)
        if not self.options.force:
            self._memory.require(trial.batch_size, instead="close other programs, or add --force")
        prepare_seconds += engine.prepare(trial.batch_size, train)

        def watch(point: TracePoint) -> bool:
            epoch, accuracy = f"{point.epochs:.2f}", f"{point.test_accuracy:.3f}"
            self._show(f"{trial.name}: epoch {epoch}, test accuracy {accuracy}")
            return point.train_seconds > trial.cap_seconds or time.monotonic() >= self.deadline

        found = train_until(
            engine,
            self.data,
            trial.batch_size,
            target_accuracy=self.options.target_accuracy,
            max_epochs=self.options.max_epochs,
            generator=torch.Generator().manual_seed(trial.seed),
            watch=watch,
        )
        return TrialResult(
            trial=trial,
            prepare_seconds=prepare_seconds,
            train_seconds=found.train_seconds,
            steps=found.steps,
            steps_before=found.trace[-2][1] if len(found.trace) > 1 else 0,
            test_accuracy=found.test_accuracy,
            ending=self._ending(found, trial),
        )

    @cached_property
    def _memory(self) -> BatchMemory:
        def train_on(samples: int) -> object:
            engine = engines.load(self.options.engine)(
                MLP(seed=0).to(self.options.device), learning_rate=self.options.lr
            )
            return engine.run(self.data.train.head(samples), torch.arange(samples), samples)

        return BatchMemory(self.options.engine, train_on)

    def _ending(self, found: Convergence, trial: Trial) -> Ending:
        if found.reached:
            return Ending.REACHED
        if found.diverged:
            return Ending.DIVERGED
        if found.epochs == self.options.max_epochs:
            return Ending.MISSED
        if found.train_seconds > trial.cap_seconds:
            return Ending.CAPPED
        raise TimeUpError

    def _show(self, text: str) -> None:
        """Draw the live line, beside a bar of the time that is spent."""
        task = next(iter(self.progress.task_ids), None)
        if task is None:
            task = self.progress.add_task("", total=self.options.time_limit)
        spent = self.options.time_limit - (self.deadline - time.monotonic())
        self.progress.update(task, description=text, completed=spent, refresh=True)
