"""A clock for training time: pauses for what is not training, waits for what is still running."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mnist_mlp import device


class Stopwatch:
    """Called, gives seconds from an arbitrary start, less those spent paused.

    A GPU runs behind the code that drives it, so each reading first waits for it to finish.
    """

    def __init__(self) -> None:
        self._paused_seconds = 0.0

    def __call__(self) -> float:
        """Seconds; only the difference of two readings means something."""
        device.wait()
        return time.perf_counter() - self._paused_seconds

    def __repr__(self) -> str:
        return "stopwatch"  # stored in saved runs, as the timer's name

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the body's time out."""
        started = self()
        try:
            yield
        finally:
            self._paused_seconds += self() - started


stopwatch = Stopwatch()


def shortest_seconds(call: Callable[[], object], *, for_seconds: float) -> float:
    """Repeat a call for some time, and return the seconds of the fastest: noise only adds."""
    call()  # loads what is loaded once
    deadline = time.perf_counter() + for_seconds
    shortest = math.inf
    while time.perf_counter() < deadline or shortest == math.inf:
        started = stopwatch()
        call()
        shortest = min(shortest, stopwatch() - started)
    return shortest
