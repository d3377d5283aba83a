"""What every case needs: the data, new engines, and one way to record what was measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.instruments.memory import Peak
from bench.suite.options import Options
from mnist_mlp import engines
from mnist_mlp.data import Data
from mnist_mlp.engines.engine import CompilerError, Engine
from mnist_mlp.model import MLP


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """The data and options of a run, and where its cases say how far they are."""

    options: Options
    data: Data
    tell: Callable[[str], object]

    def new_engine(
        self, engine: str, *, seed: int = 0, learning_rate: float | None = None
    ) -> Engine:
        """Build a fresh network, ready to train; the rate is --lr's unless another is given."""
        network = MLP(seed=seed).to(self.options.device)
        kind = engines.load(engine)
        offered = self.options.precision in kind.precisions
        return kind(
            network,
            learning_rate=learning_rate or self.options.learning_rate,
            precision=self.options.precision if offered else kind.precisions[0],
        )

    def compile_seconds(self, engine: str, batch_size: int) -> float:
        """Have the engine compile now what it needs; the seconds that it took.

        The case is skipped where this machine cannot compile.
        """
        try:
            return self.new_engine(engine).prepare(batch_size)
        except CompilerError as error:
            pytest.skip(str(error))

    def record(
        self,
        benchmark: BenchmarkFixture,
        *,
        engine: str,
        batch_size: int,
        samples: float,
        peak: Peak | None = None,
        **more: Any,
    ) -> None:
        """Store what a case found in its `extra_info`; `samples` is how many a timed call used."""
        benchmark.extra_info.update(
            batch_size=batch_size,
            engine=engine,
            precision=self.new_engine(engine).precision,
            threads=torch.get_num_threads(),
            device=self.options.device,
            learning_rate=self.options.learning_rate,
            data=self.data.name,
        )
        benchmark.extra_info.update(more)
        if benchmark.stats:
            median_seconds = benchmark.stats.stats.median
            benchmark.extra_info["samples_per_second"] = samples / median_seconds
        if peak:
            benchmark.extra_info["peak_memory_bytes"] = peak.resident_bytes
            benchmark.extra_info["peak_memory_method"] = peak.method
        if peak and peak.cuda_bytes is not None:
            benchmark.extra_info["peak_cuda_bytes"] = peak.cuda_bytes
