"""Which batch sizes a task can be trained with here, and the memory that each takes.

Sizes are tried in a separate process, which the system may kill if memory runs out.
"""

from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial

import torch

from bench.measure.memory import peak_memory
from bench.measure.processes import fresh
from bench.units import megabytes
from mnist_mlp import device, engines, memory
from mnist_mlp.clock import stopwatch
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.task import Task
from mnist_mlp.task_source import Source
from mnist_mlp.training import require_steps

LAST = 2  # doublings of the batch size that are compared
CHEAPER = 0.95  # share to which each doubling must lower the seconds per sample to go on
MOST_STEP_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """The batch sizes that can be trained with, and those that cannot."""

    peak_bytes: dict[int, int] = field(default_factory=dict)  # batch size -> peak of a step
    left_out: dict[int, str] = field(default_factory=dict)  # batch size -> reason

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes that can be trained with."""
        return tuple(self.peak_bytes)


def fitting(
    sizes: Iterable[int],
    source: Source,
    engine: str,
    *,
    threads: int,
    needed: int,
    force: bool,
    tell: Callable[[str], object],
) -> Fitting:
    """Try batch sizes from the smallest up.

    This ends where a sample costs no less in a larger batch: such a batch trains no faster, since
    steps fall no faster than 1 / B. All sizes up to `needed` are tried. A size that will not fit
    in memory is left out, unless `force`; a GPU tells by itself.
    """
    is_forecast = not (force or device.is_gpu(source.device))
    result, costs = Fitting(), []
    with fresh(1, _begin, source, engine, threads) as (pool,):
        for size in sorted(sizes):
            tell(f"trying batch size {size}")
            free = memory.free_bytes() if is_forecast else None
            more = memory.predicted_bytes(result.peak_bytes, size)
            if free is not None and more > free:
                result.left_out[size] = (
                    f"it needs about {megabytes(more)} more memory, and {megabytes(free)} are free"
                )
                continue
            try:
                step_seconds, result.peak_bytes[size] = pool.submit(_try, size).result()
            except BrokenProcessPool:
                result.left_out[size] = "the system killed the process that tried it"
                break
            except UnavailableError as error:
                result.left_out[size] = str(error)
                continue
            costs.append(step_seconds / size)
            is_flat = len(costs) > LAST and costs[-1] > CHEAPER**LAST * costs[-1 - LAST]
            if size >= needed and (is_flat or step_seconds > MOST_STEP_SECONDS):
                break
    return result


_task: Task
_engine: str


def _begin(source: Source, engine: str, threads: int, number: int) -> None:  # noqa: ARG001
    global _task, _engine
    torch.set_num_threads(threads)
    device.use(source.device)
    _task, _engine = source.load(), engine


def _try(size: int) -> tuple[float, int]:
    """Return the seconds of a step, and its peak memory in bytes."""
    require_steps(partial(engines.new, _engine, _task), _task.train, size)
    subject, order = engines.new(_engine, _task), torch.arange(min(size, len(_task.train)))
    subject.prepare(size, _task.train)

    def step() -> None:
        subject.run(_task.train, order, size)

    step()
    peak = peak_memory(step)
    spent = []
    for _ in range(3):
        started = stopwatch()
        step()
        spent.append(stopwatch() - started)
    return min(spent), peak.resident_bytes if peak.cuda_bytes is None else peak.cuda_bytes
