"""What every case needs: the task, new engines, and one way to record a measurement."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.measure.memory import Peak
from bench.options import NATIVE_FORMS
from bench.suite import room
from mnist_mlp import engines
from mnist_mlp.batches import clamped
from mnist_mlp.clock import stopwatch
from mnist_mlp.data import Split
from mnist_mlp.device import Randomness
from mnist_mlp.engines.engine import Engine, UnavailableError
from mnist_mlp.engines.loader import Loader
from mnist_mlp.engines.native import forms
from mnist_mlp.engines.native.native import Native
from mnist_mlp.memory import PROBES, BatchMemory
from mnist_mlp.task import Task
from mnist_mlp.task_source import Source
from mnist_mlp.training import require_steps

LEARNING_STEPS = 8
LEARNING_SAMPLES = 4096

# Python and JAX warn of forks in a process with threads; DataLoader's workers use no such thread.
may_fork = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded.*fork:DeprecationWarning", "ignore:os.fork:RuntimeWarning"
)


def learning_steps(batch_size: int) -> int:
    """Return how many first losses a case stores: 0 for large batches, which take long."""
    return min(LEARNING_STEPS, LEARNING_SAMPLES // batch_size)


def seconds_of(call: Callable[[], object]) -> float:
    """Return the seconds of a call, which must not be the first of its kind."""
    started = stopwatch()
    call()
    return stopwatch() - started


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """The task and options of a run, and a way for its cases to show how far they are."""

    options: Namespace  # named as bench.options declares them; None: not given
    source: Source
    task: Task
    tell: Callable[[str], None]
    # Engine, batch size and rule of trainings whose first seed missed the target by far.
    hopeless: set[tuple[str, int, str]] = field(default_factory=set)
    _memory: dict[str, BatchMemory] = field(default_factory=dict)  # engine -> memory

    def new_engine(
        self, engine: str, *, seed: int = 0, learning_rate: float | None = None
    ) -> Engine:
        """Build a fresh network, ready to train; the rate is --lr's unless another is given."""
        is_simplest = engine == Native.name and self.options.native_form != NATIVE_FORMS[0]
        return engines.new(
            engine,
            self.task,
            seed=seed,
            learning_rate=learning_rate or self.options.lr,
            **({"form": forms.simplest()} if is_simplest else {}),
        )

    def missing(self, engine: str) -> str:
        """Return why an engine cannot train on the device; empty if it can."""
        try:
            self.new_engine(engine)
        except UnavailableError as error:
            return str(error)
        return ""

    def first_losses(self, engine: str, batch_size: int) -> dict[str, list[float]]:
        """Return the losses of a fresh network's first steps, as a field to store.

        They show whether a change of code changes what is learned. Large batches have no field.
        """
        steps = learning_steps(batch_size)
        if not steps:
            return {}
        subject, order = self.new_engine(engine), self.places(steps * batch_size)
        with Randomness(subject.device).used(seed=0):
            return {"losses": subject.run(self.task.train, order, batch_size).tolist()}

    def compile_seconds(self, engine: str, batch_size: int, split: Split) -> float:
        """Prepare the engine for such batches, and return the seconds that this took.

        The case is skipped if memory would run out.

        Raises:
            UnavailableError: the engine cannot train, or not at this batch size.

        """
        subject = self.new_engine(engine)
        # Small batches compile first, since the prediction of memory trains on small batches.
        seconds = subject.prepare(min(batch_size, PROBES[0]), split)
        room.require(
            self._memory.setdefault(engine, BatchMemory(engine, self._trains(engine))),
            engine,
            clamped(batch_size, len(split)),
            self.options,
            self.source,
        )
        seconds += subject.prepare(batch_size, split)
        if self.options.task:
            require_steps(partial(self.new_engine, engine), split, batch_size)
        return seconds

    def _trains(self, engine: str) -> Callable[[int], object]:
        return lambda samples: self.new_engine(engine).run(
            self.task.train, self.places(samples), samples
        )

    def places(self, samples: int) -> torch.Tensor:
        """Return the indices of the training set's first samples, at most all of them."""
        return torch.arange(min(samples, len(self.task.train)), device=self.options.device)

    def fed_loader(self, *, workers: int) -> Loader:
        """Build the loader engine, ready to train; `workers` processes fetch its batches."""
        loader = Loader(self.task, self.task.new_network(0), learning_rate=self.options.lr)
        loader.workers = workers
        loader.prepare(cases.AXIS_BATCH_SIZE, self.task.train)
        return loader

    def record(
        self,
        benchmark: BenchmarkFixture,
        engine: Engine,
        *,
        batch_size: int,
        samples: float,
        peak: Peak | None = None,
        **fields: Any,
    ) -> None:
        """Store the engine's setting and what a case measured in its `extra_info`.

        `peak` is the memory of an untimed call; for the rest, see `store`.
        """
        if engine.form:
            fields |= {"form": engine.form, "form_threads": engine.form_threads}
        if peak:
            fields |= {
                "peak_memory_bytes": peak.resident_bytes,
                "peak_memory_method": peak.method,
                "rss_bytes": peak.rss_bytes,
            }
            if peak.cuda_bytes is not None:
                fields["peak_cuda_bytes"] = peak.cuda_bytes
        self.store(
            benchmark,
            samples=samples,
            batch_size=batch_size,
            engine=engine.name,
            threads=torch.get_num_threads(),
            learning_rate=engine.learning_rate,
            **fields,
        )

    def store(self, benchmark: BenchmarkFixture, *, samples: float, **fields: Any) -> None:
        """Store fields of `bench.runs.case.MeasuredCase` in the `extra_info` of a case.

        `samples` is the number of samples that one timed call used.
        """
        info = benchmark.extra_info
        info.update(device=self.options.device, data=self.task.name, **fields)
        if benchmark.stats:
            info["samples_per_second"] = samples / benchmark.stats.stats.median
