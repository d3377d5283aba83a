"""What python -m bench sweet-spot --search does: race, and print the answer."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from bench.best import race, trial
from bench.best.progress import progress_line
from bench.best.race import Entry
from bench.best.sweet_spot_command import CONFIRMING_SEEDS
from bench.report import summary
from bench.runs.case import MeasuredCase, from_json
from bench.runs.seeds import Seeds
from bench.units import seconds
from mnist_mlp import datasets, device, engines
from mnist_mlp.convergence import TracePoint
from mnist_mlp.data import Data
from mnist_mlp.engines.engine import Engine
from mnist_mlp.errors import UserError
from mnist_mlp.learning_rate import RULES
from mnist_mlp.memory import PROBES, BatchMemory
from mnist_mlp.model import MLP


def run(options: argparse.Namespace) -> int:
    """Race, and print the answer: all of it, or what there is when the race ends early."""
    deadline = time.monotonic() + options.time_limit
    device.use(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    data = datasets.load(
        data_root=options.data_root, cache_dir=options.cache_dir, device=options.device
    )
    print(
        f"{data.name}, {options.engines[0]} engine, {options.device}, {torch.get_num_threads()} "
        f"threads: to test accuracy {options.target_accuracy:g} in at most {options.max_epochs} "
        f"epochs, {options.time_limit:g} s for the whole race",
        flush=True,
    )
    runs: list[MeasuredCase] = []
    try:
        with progress_line() as tell:
            _race(Trainer(options=options, data=data, deadline=deadline, tell=tell), runs)
    finally:  # interrupted or refused, what there is is printed
        if runs:
            print(summary.render(runs, details=True))
    if not runs:
        raise UserError(
            f"no run ended within {options.time_limit:g} s: allow more with --time-limit"
        )
    return 0


def _race(trainer: "Trainer", runs: list[MeasuredCase]) -> None:
    """Add and print each run as it ends; then train the fastest with seeds of its own."""
    for case in race.race(
        trainer.train,
        lr_rules=trainer.options.lr_rules,
        seeds=trainer.options.seeds,
        samples=len(trainer.data.train),
        deadline=trainer.deadline,
    ):
        runs.append(case)
        print(
            f"{case.lr_rule} rate, batch size {case.batch_size}, seed {case.seed}: "
            f"{'reached' if case.reached else 'not reached, at'} {case.test_accuracy:.4f} in "
            f"{seconds(case.seconds)}, {case.steps:,} steps",
            flush=True,
        )
    if time.monotonic() >= trainer.deadline:
        print("The time was up before all runs were made: allow more with --time-limit.")
    confirmed: list[MeasuredCase] = []
    for entry in race.confirming(runs, seeds=CONFIRMING_SEEDS):
        if not (confirmation := trainer.train(entry)):
            break
        confirmed.append(confirmation)
    if confirmed:
        again = Seeds(cases=confirmed)
        print(
            f"Trained at {again.batch_size} with {len(confirmed)} seeds that had no part in the "
            f"choice: {again.reached} reached the target, median {seconds(again.median_seconds)}."
        )


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Makes the runs of a race, shows how they go, and ends those that are too slow."""

    options: argparse.Namespace
    data: Data
    deadline: float  # by time.monotonic
    tell: Callable[[str], object]

    def train(self, entry: Entry) -> MeasuredCase | None:
        """Compile what is needed, then train until the target, the cap or the last epoch.

        Returns None where the deadline came first.
        """
        self.tell(f"{entry.name}: preparing")
        options, train, size = self.options, self.data.train, entry.batch_size
        engine = self._new_engine(entry.seed, RULES[entry.lr_rule](options.lr, size))
        # What small batches compile is compiled once, and a prediction of memory uses them.
        engine.prepare(min(size, PROBES[0]), train)
        if not options.force:
            self._memory.require(size, instead="close other programs, or add --force")
        walk = trial.new_walk(engine, train, size, seed=entry.seed)

        def is_over(point: TracePoint) -> bool:
            epoch, accuracy = f"{point.epochs:.2f}", f"{point.test_accuracy:.3f}"
            self.tell(f"{entry.name}: epoch {epoch}, test accuracy {accuracy}")
            return point.train_seconds > entry.cap_seconds or time.monotonic() >= self.deadline

        target, most_steps = options.target_accuracy, options.max_epochs * walk.steps_per_epoch
        outcome = trial.to_targets(
            walk, self.data.test, (target,), most_steps=most_steps, is_over=is_over
        )
        is_ended = outcome.bounds or outcome.diverged or outcome.steps == most_steps
        if not is_ended and outcome.seconds <= entry.cap_seconds:
            return None
        info = {
            "engine": engine.name,
            "batch_size": size,
            "threads": torch.get_num_threads(),
            "device": options.device,
            "data": self.data.name,
            "learning_rate": engine.learning_rate,
            "lr_rule": entry.lr_rule,
            "seed": entry.seed,
            "steps": outcome.steps,
            "reached": bool(outcome.bounds),
            "diverged": outcome.diverged,
            "test_accuracy": outcome.accuracy,
            "target_accuracy": target,
            "max_epochs": options.max_epochs,
        }
        stats = {"median": outcome.seconds}
        return from_json(
            {"name": f"test_convergence[{entry.name}]", "stats": stats, "extra_info": info}
        )

    def _new_engine(self, seed: int, rate: float) -> Engine:
        network = MLP(seed=seed).to(self.options.device)
        return engines.load(self.options.engines[0])(network, learning_rate=rate)

    @cached_property
    def _memory(self) -> BatchMemory:
        def train_on(samples: int) -> object:
            engine = self._new_engine(0, self.options.lr)
            return engine.run(self.data.train.head(samples), torch.arange(samples), samples)

        return BatchMemory(self.options.engines[0], train_on)
