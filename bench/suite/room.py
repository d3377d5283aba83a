"""Check, before a case starts, that there is enough memory for it."""

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

        With --force the batch is first tried in a child process, and the case fails where that one
        dies; not on a GPU, which a forked process cannot use.

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
            cause = "" if torch.cuda.is_initialized() else fate(lambda: train_on(samples))
            if cause:
                needs, _, _ = str(error).rpartition(": ")
                pytest.fail(
                    f"{cause}, and {needs}: choose a smaller one, or close other programs",
                    pytrace=False,
                )


def fate(call: Callable[[], object]) -> str:
    """Make a call in a forked process, and return why it failed; nothing where it did not."""
    kills = memory.kills()
    with warnings.catch_warnings():  # of Python and of JAX: threads do not survive a fork
        warnings.simplefilter("ignore")  # the child starts none
        child = os.fork()
    if not child:
        _try(call)
    try:
        _, status = os.waitpid(child, 0)
    except KeyboardInterrupt:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if os.WIFSIGNALED(status):
        number = signal.Signals(os.WTERMSIG(status)).name
        ran_out = memory.kills() > kills
        trial = "memory ran out" if ran_out else "a trial in a child process was killed"
        return f"{trial} ({number})"
    return "a trial in a child process failed" if status else ""


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
