"""A clock for training time: it can be paused, and it waits for the GPU."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mnist_mlp import device


class Stopwatch:
    """A function that returns the seconds since an arbitrary start, without paused time.

    A GPU runs later than the code that gives it work, so each reading first waits for the GPU.
    """

    def __init__(self) -> None:
        self._paused_seconds = 0.0

    def __call__(self) -> float:
        """Return seconds; only the difference between two readings has a meaning."""
        device.wait()
        return time.perf_counter() - self._paused_seconds

    def __repr__(self) -> str:
        return "stopwatch"  # the timer's name in saved runs

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time that the body of the `with` statement takes."""
        started = self()
        try:
            yield
        finally:
            self._paused_seconds += self() - started


stopwatch = Stopwatch()


def shortest_seconds(call: Callable[[], object], *, for_seconds: float) -> float:
    """Repeat a call for some time, and return the seconds of the fastest: noise only adds."""
    call()  # a first call may load or compile
    deadline = time.perf_counter() + for_seconds
    shortest = math.inf
    while time.perf_counter() < deadline or shortest == math.inf:
        started = stopwatch()
        call()
        shortest = min(shortest, stopwatch() - started)
    return shortest
