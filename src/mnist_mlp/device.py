"""The device that tensors live on: the CPU or a GPU.

A GPU is in use as soon as this process has put something on it. It runs later than the code that
gives it work, so whoever reads a clock waits for it first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import torch


def available() -> tuple[str, ...]:
    """Return the names of the devices here: "cpu", then for GPUs "cuda", "cuda:0" and so on."""
    gpus = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    return ("cpu", "cuda", *gpus) if gpus else ("cpu",)


def is_gpu(device: str | torch.device) -> bool:
    """Whether the device is a GPU."""
    return torch.device(device).type != "cpu"


def use(device: str) -> None:
    """Make a GPU the current one; a CPU needs nothing."""
    if is_gpu(device):
        torch.cuda.set_device(device)


def wait() -> None:
    """Wait until the GPU has done all its work; return at once where none is in use."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute on so many threads of the CPU while the body of the `with` runs.

    Where it used more than one, they spin for milliseconds afterwards.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def gpu_name() -> str | None:
    """Return the model of the GPU; None where none is in use."""
    return torch.cuda.get_device_name() if torch.cuda.is_initialized() else None


class GpuPeak:
    """The most memory that torch allocates on the GPU during a `with` block.

    After the block `bytes` is that peak, less what was allocated before; it is None where no GPU
    was in use.
    """

    def __init__(self) -> None:
        self.bytes: int | None = None
        self._bytes_before: int | None = None

    def __enter__(self) -> Self:
        if torch.cuda.is_initialized():
            wait()
            torch.cuda.reset_peak_memory_stats()
            self._bytes_before = torch.cuda.memory_allocated()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bytes_before is not None:
            wait()
            self.bytes = torch.cuda.max_memory_allocated() - self._bytes_before
