"""What workers are timed at: steps, epochs and exchanges, each from a barrier to its end.

These functions run in the workers of a crew. Each returns what the worker itself has measured; the
slowest one's seconds are the group's.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from bench.instruments.memory import peak_memory
from mnist_mlp import datasets, engines, group
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.evaluation import evaluate
from mnist_mlp.model import MLP
from mnist_mlp.training import epoch

_train: Split
_test: Split
_engine: Engine


def load(data_root: Path | None, cache_dir: Path | None) -> None:
    """Load the data."""
    global _train, _test
    data = datasets.load(data_root=data_root, cache_dir=cache_dir)
    _train, _test = data.train, data.test


def new_engine(
    name: str, learning_rate: float, seed: int = 0, average_every: int | None = None
) -> None:
    """Build a fresh network, for the group as it is."""
    global _engine  # noqa: PLW0603
    extra: dict[str, Any] = {"average_every": average_every} if average_every else {}
    _engine = engines.load(name)(MLP(seed=seed), learning_rate=learning_rate, **extra)


def steps(batch_size: int, count: int, first: int = 0) -> float:
    """Take steps over the training set's samples from a batch on; return their seconds."""
    samples = min(count * batch_size, len(_train))
    start = first * batch_size % max(1, len(_train) - samples + 1)
    order = torch.arange(start, start + samples)
    return _seconds(lambda: _engine.run(_train, order, batch_size))


def one_epoch(batch_size: int, seed: int = 0) -> tuple[float, float]:
    """Train for an epoch; return its seconds, and the loss averaged over samples."""
    losses: list[float] = []
    generator = torch.Generator().manual_seed(seed)

    def train() -> None:
        losses.append(epoch(_engine, _train, batch_size, generator=generator))

    return _seconds(train), losses[0]


def exchange(size_bytes: int, count: int) -> float:
    """Add up numbers of the workers, of so many bytes, again and again; return seconds a time."""
    numbers = torch.zeros(size_bytes // 4)

    def exchanges() -> None:
        for _ in range(count):
            group.add_up(numbers)

    return _seconds(exchanges) / count


def losses(batch_size: int, count: int) -> list[float]:
    """Take steps from the training set's first batch on; return their losses."""
    order = torch.arange(min(count * batch_size, len(_train)))
    found: list[float] = _engine.run(_train, order, batch_size).tolist()
    return found


def peak_bytes(batch_size: int) -> int:
    """Return the peak memory of a step, untimed."""
    order = torch.arange(min(batch_size, len(_train)))
    return peak_memory(lambda: _engine.run(_train, order, batch_size)).resident_bytes


def accuracy() -> float:
    """Evaluate on the test set."""
    return evaluate(_engine.logits, _test).accuracy


def _seconds(call: Callable[[], object]) -> float:
    if group.size() > 1:
        dist.barrier()
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
