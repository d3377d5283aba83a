"""The device that tensors live on: the CPU or a GPU.

A GPU is in use as soon as this process has put something on it. It runs later than the code that
gives it work, so whoever reads a clock waits for it first.
"""

from collections.abc import Iterator
from contextlib import contextmanager

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
