"""Whether there is memory for a case, before it starts."""

import os
import signal
import warnings
from collections.abc import Callable

import pytest
import torch

from mnist_mlp import memory
from mnist_mlp.memory import BatchMemory, NotEnoughMemoryError


class Room:
    """Predicts the peak of each engine's batches, by the line through two small ones."""

    def __init__(self, *, force: bool) -> None:
        self._force = force
        self._known: dict[str, BatchMemory] = {}

    def require(self, engine: str, samples: int, train_on: Callable[[int], object]) -> None:
        """Skip the case where so many samples a step do not fit.

        With --force they are tried in a process of its own first, and the case fails where that
        does not live.

        Args:
            engine: that trains.
            samples: of a step.
            train_on: trains on one batch of so many samples.

        """
        known = self._known.setdefault(engine, BatchMemory(engine, train_on))
        try:
            known.require(
                samples, instead="choose a smaller one, close other programs, or add --force"
            )
        except NotEnoughMemoryError as error:
            if not self._force:
                pytest.skip(str(error))
            cause = fate(lambda: train_on(samples))
            if cause:
                pytest.fail(f"{cause}, and {error}", pytrace=False)


def fate(call: Callable[[], object]) -> str:
    """Make a call in a fork of this process, and say what ended it; nothing where it lived."""
    kills = memory.kills()
    with warnings.catch_warnings():  # of Python and of JAX: threads do not survive a fork
        warnings.simplefilter("ignore")  # the child starts none
        child = os.fork()
    if not child:
        _try(call)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = signal.Signals(os.WTERMSIG(status)).name
        ran_out = memory.kills() > kills
        return f"memory ran out ({number})" if ran_out else f"a trial of it died ({number})"
    return "a trial of it failed" if status else ""


def _try(call: Callable[[], object]) -> None:
    """Make the call and end this process, before any other where memory runs out."""
    code = 1
    try:
        memory.offer()
        torch.set_num_threads(1)  # OpenMP's threads are not in this process
        call()
        code = 0
    finally:
        os._exit(code)
