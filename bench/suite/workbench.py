"""What every case needs: the data, new engines, and one way to record a measurement."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.measure.memory import Peak
from bench.options import NATIVE_FORMS
from bench.suite.options import Options
from bench.suite.room import Room
from mnist_mlp import engines
from mnist_mlp.data import Data
from mnist_mlp.engines.engine import Engine, UnavailableError
from mnist_mlp.engines.loader import Loader
from mnist_mlp.engines.native import forms
from mnist_mlp.engines.native.native import Native
from mnist_mlp.memory import PROBES
from mnist_mlp.model import MLP

LEARNING_STEPS = 8
LEARNING_SAMPLES = 4096

# Python warns of forks beside threads; DataLoader's workers compute nothing in theirs.
may_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def learning_steps(batch_size: int) -> int:
    """Return how many steps of such batches show what a case learns; 0 of large ones."""
    return min(LEARNING_STEPS, LEARNING_SAMPLES // batch_size)


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """The data and options of a run, and a way for its cases to show how far they are."""

    options: Options
    data: Data
    tell: Callable[[str], None]
    # Engine, batch size and rule of trainings whose first seed missed the target clearly.
    hopeless: set[tuple[str, int, str]] = field(default_factory=set)

    @cached_property
    def _room(self) -> Room:
        return Room(force=self.options.force)

    def new_engine(
        self, engine: str, *, seed: int = 0, learning_rate: float | None = None
    ) -> Engine:
        """Build a fresh network, ready to train; the rate is --lr's unless another is given."""
        network = MLP(seed=seed).to(self.options.device)
        kind = engines.load(engine)
        is_simplest = kind is Native and self.options.native_form != NATIVE_FORMS[0]
        return kind(
            network,
            learning_rate=learning_rate or self.options.learning_rate,
            **({"form": forms.simplest()} if is_simplest else {}),
        )

    def first_losses(self, engine: str, batch_size: int) -> dict[str, list[float]]:
        """Train a fresh network for some steps, so that a change of what it learns shows.

        Returns:
            The losses, as a field to store; nothing for a batch that would take long.

        """
        steps = learning_steps(batch_size)
        if not steps:
            return {}
        subject, train = self.new_engine(engine), self.data.train
        order = torch.arange(min(steps * batch_size, len(train)), device=self.options.device)
        return {"losses": subject.run(train, order, batch_size).tolist()}

    def compile_seconds(self, engine: str, batch_size: int) -> float:
        """Let the engine get ready for such batches, and return the seconds that it took.

        The case is skipped where the engine cannot train, or where memory would run out.
        """
        train = self.data.train
        try:
            subject = self.new_engine(engine)
            # What small batches compile is compiled once, and a prediction of memory uses them.
            seconds = subject.prepare(min(batch_size, PROBES[0]), train)
            self._room.require(engine, min(batch_size, len(train)), self._trains(engine))
            return seconds + subject.prepare(batch_size, train)
        except UnavailableError as error:
            pytest.skip(str(error))

    def _trains(self, engine: str) -> Callable[[int], object]:
        def train_on(samples: int) -> object:
            part = self.data.train.head(samples)
            order = torch.arange(len(part), device=self.options.device)
            return self.new_engine(engine).run(part, order, samples)

        return train_on

    def fed_loader(self, *, workers: int) -> Loader:
        """Build the question's engine, ready; so many processes beside this fetch its batches."""
        loader = Loader(
            MLP(seed=0).to(self.options.device), learning_rate=self.options.learning_rate
        )
        loader.workers = workers
        loader.prepare(cases.AXIS_BATCH_SIZE, self.data.train)
        return loader

    def record(
        self,
        benchmark: BenchmarkFixture,
        engine: Engine,
        *,
        batch_size: int,
        samples: float,
        peak: Peak | None = None,
        **found: Any,
    ) -> None:
        """Store the engine's setting and what a case found in its `extra_info`.

        Args:
            benchmark: of the case.
            engine: that was timed, or one like it.
            batch_size: samples a step.
            samples: that one timed call used.
            peak: memory of an untimed call.
            found: further fields, as `bench.runs.case.MeasuredCase` names them.

        """
        info = benchmark.extra_info
        info.update(
            batch_size=batch_size,
            engine=engine.name,
            threads=torch.get_num_threads(),
            device=self.options.device,
            learning_rate=engine.learning_rate,
            data=self.data.name,
            **found,
        )
        if engine.form:
            info.update(form=engine.form, form_threads=engine.form_threads)
        if benchmark.stats:
            info["samples_per_second"] = samples / benchmark.stats.stats.median
        if peak:
            info["peak_memory_bytes"] = peak.resident_bytes
            info["peak_memory_method"] = peak.method
            if peak.cuda_bytes is not None:
                info["peak_cuda_bytes"] = peak.cuda_bytes
