"""The device that tensors live on: the CPU or a GPU.

A GPU is in use as soon as this process has put something on it. A GPU runs later than the code that
gives it work, so code that reads a clock waits for the GPU first.
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
    """Make a GPU the current one; a CPU, or a GPU without a number, needs nothing."""
    if torch.device(device).index is not None and is_gpu(device):
        torch.cuda.set_device(device)


def wait() -> None:
    """Wait until the GPU has done all its work; return at once where none is in use."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


class Randomness:
    """A separate state of torch's global generators, from which dropout draws."""

    def __init__(self, device: torch.device) -> None:
        self._generators = [torch.default_generator]
        if is_gpu(device):
            self._generators.append(torch.cuda.default_generators[device.index or 0])
        self._states = [each.get_state() for each in self._generators]

    def seed(self, seed: int) -> None:
        """Seed the state; only inside the body of `used`."""
        for generator in self._generators:
            generator.manual_seed(seed)

    @contextmanager
    def used(self, *, seed: int | None = None) -> Iterator[None]:
        """Draw from this state, seeded if a seed is given, while the body of the `with` runs."""
        self._swap()
        try:
            if seed is not None:
                self.seed(seed)
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        states, self._states = self._states, [each.get_state() for each in self._generators]
        for generator, state in zip(self._generators, states, strict=True):
            generator.set_state(state)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute on `count` CPU threads while the body of the `with` runs.

    If there are several, torch's threads spin for milliseconds afterwards.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
