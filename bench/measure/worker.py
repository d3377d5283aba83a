"""What runs in a worker of a crew: it joins groups, and times steps, epochs and exchanges.

A timed function returns the seconds that the worker itself has measured, from a barrier on. A group
takes as long as its slowest worker.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store

from bench.measure.memory import peak_memory
from mnist_mlp import engines
from mnist_mlp.device import Randomness
from mnist_mlp.engines.engine import Engine
from mnist_mlp.task import Task
from mnist_mlp.task_source import Source
from mnist_mlp.training import epoch
from mnist_mlp.workers import group

_store: Store
_rank: int
_group = ExitStack()
_task: Task
_engine: Engine


def begin(store: Path, workers: int, rank: int) -> None:
    """Meet the other workers through a file."""
    global _store, _rank
    _store, _rank = dist.FileStore(str(store), workers), rank  # type: ignore[attr-defined]


def regroup(size: int, threads: int, number: int) -> None:
    """Leave the group, and join the next group if this worker is among the first `size`."""
    _group.close()
    torch.set_num_threads(threads)
    if _rank < size:
        store = PrefixStore(f"group {number}", _store)
        _group.enter_context(group.grouped(store, rank=_rank, size=size))


def load(source: Source) -> None:
    """Load the task."""
    global _task  # noqa: PLW0603
    _task = source.load()


def new_engine(name: str, learning_rate: float) -> None:
    """Build a fresh network for the current group."""
    global _engine  # noqa: PLW0603
    _engine = engines.new(name, _task, learning_rate=learning_rate)


def steps(batch_size: int, count: int, first: int = 0) -> float:
    """Take so many steps, from the training set's batch `first` on; return seconds per step.

    There are fewer steps if the training set has fewer whole batches.
    """
    count = max(1, min(count, len(_task.train) // batch_size))
    samples = min(count * batch_size, len(_task.train))
    start = first * batch_size % max(1, len(_task.train) - samples + 1)
    order = torch.arange(start, start + samples)
    return _seconds(lambda: _engine.run(_task.train, order, batch_size)) / count


def one_epoch(batch_size: int) -> tuple[float, float]:
    """Train for an epoch; return its seconds, and the loss averaged over samples."""
    losses: list[float] = []
    generator = torch.Generator().manual_seed(0)

    def train() -> None:
        losses.append(epoch(_engine, _task.train, batch_size, generator=generator))

    return _seconds(train), losses[0]


def exchange(size_bytes: int, count: int) -> float:
    """Add up so many bytes of numbers over the workers, `count` times; return seconds per time."""
    numbers = torch.zeros(size_bytes // 4)

    def exchanges() -> None:
        for _ in range(count):
            group.add_up(numbers)

    return _seconds(exchanges) / count


def losses(batch_size: int, count: int) -> list[float]:
    """Take steps from the training set's first batch on; return their losses."""
    order = torch.arange(min(count * batch_size, len(_task.train)))
    with Randomness(_engine.device).used(seed=0):
        return [float(loss) for loss in _engine.run(_task.train, order, batch_size)]


def peak_bytes(batch_size: int) -> int:
    """Return the peak memory of a step, untimed."""
    order = torch.arange(min(batch_size, len(_task.train)))
    return peak_memory(lambda: _engine.run(_task.train, order, batch_size)).resident_bytes


def _seconds(call: Callable[[], object]) -> float:
    if group.size() > 1:
        dist.barrier()
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
