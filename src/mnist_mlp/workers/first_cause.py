"""Names, in one line, the worker that failed first if a failure ends all workers.

A worker that fails claims to be the first. A worker whose exchange fails has lost another worker:
it notes that it lives, and waits for a claim. A worker that neither lives nor claims is the cause.
Importing this module does not import torch.
"""

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from mnist_mlp import memory
from mnist_mlp.errors import UserError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

GRACE_SECONDS = 2.0  # time for the other workers to claim, or to note that they live
STORE_SECONDS = 2.0  # time for an answer of the store, whose process may be gone too
POLL_SECONDS = 0.02
CAUSE = "first cause"


class LostError(UserError):
    """An exchange failed: another worker is gone, or failed first."""


class ToldToEndError(LostError):
    """A signal asked this worker to end, as torchrun does when another has failed."""


def fresh_name(store: "Store", *, rank: int, size: int, patience: timedelta) -> str:
    """Return a name that only this start of the workers has in torchrun's store.

    torchrun keeps one store over restarts, with what dead workers wrote, and each host counts its
    own restarts. So the first worker answers each greeting under the random name that it brings.

    Raises:
        LostError: a worker does not start in time.

    """
    name, deadline = uuid.uuid4().hex, time.monotonic() + patience.total_seconds()
    if rank:
        store.set(f"greeting/{rank}", name)
        try:
            store.wait([f"answer/{name}"], patience)
        except RuntimeError as error:
            raise LostError("rank 0 did not start") from error
        start = store.get(f"answer/{name}").decode()
        store.set(f"started/{start}/{rank}", "")
        return start
    awaited = set(range(1, size))
    while awaited:
        if time.monotonic() > deadline:
            raise LostError(f"rank {min(awaited)} did not start")
        for worker in sorted(awaited):
            if store.check([f"greeting/{worker}"]):
                store.set(f"answer/{store.get(f'greeting/{worker}').decode()}", name)
            if store.check([f"started/{name}/{worker}"]):
                awaited.discard(worker)
        time.sleep(POLL_SECONDS)
    return name


class Register:
    """What workers write for each other in the store that torchrun keeps."""

    def __init__(self, store: "Store", *, rank: int, size: int) -> None:
        self.rank = rank
        self.size = size
        self._store = store
        self._kills = memory.kills()
        self._store.set(f"process/{rank}", _process())

    def cause(self, error: BaseException) -> str | None:
        """Return the sentence to print if it is this worker's turn, and None if another prints it.

        Args:
            error: what ended this worker; LostError means that another worker failed first.

        """
        answers: list[str | None] = []
        ask = self._cause_of_loss if isinstance(error, LostError) else self._claim
        asking = threading.Thread(target=lambda: answers.append(ask(error)), daemon=True)
        asking.start()
        asking.join(GRACE_SECONDS + STORE_SECONDS)
        if not answers:
            return f"rank {self.rank} has lost its connection to the other workers"
        return answers[0]

    def _claim(self, error: BaseException) -> str | None:
        is_sentence = isinstance(error, UserError)
        sentence = str(error) if is_sentence else f"{type(error).__name__}: {error}"
        return self._first_to_print(f"rank {self.rank}: {sentence}")

    def _first_to_print(self, sentence: str) -> str | None:
        claim = f"{self.rank} {sentence}"  # the rank tells apart equal sentences of two workers
        return sentence if self._store.compare_set(CAUSE, "", claim) == claim.encode() else None

    def _cause_of_loss(self, error: BaseException) -> str | None:
        self._store.set(f"lives/{self.rank}", "")
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline:
            if self._store.check([CAUSE]):
                return None
            time.sleep(POLL_SECONDS)
        missing = [rank for rank in range(self.size) if not self._store.check([f"lives/{rank}"])]
        if not missing:
            if isinstance(error, ToldToEndError):
                return self._first_to_print("the workers were told to end")
            return self._first_to_print(
                f"rank {self.rank}: an exchange failed, although all workers are alive: {error}"
            )
        return self._first_to_print(self._fates(missing))

    def _fates(self, missing: list[int]) -> str:
        """Describe what became of workers that do not answer; end those on this host."""
        places = [self._store.get(f"process/{rank}").decode().split(" ", 2) for rank in missing]
        here = {
            rank: int(process)
            for rank, (process, launcher, _) in zip(missing, places, strict=True)
            if launcher == _launcher()
        }
        dead = [rank for rank, process in here.items() if not _lives(process)]
        if dead:  # the other workers may still wait for the dead ones
            ran_out = memory.kills() > self._kills
            how = "memory ran out" if ran_out else "it was killed, or it crashed"
            return f"{_ranks(dead)} died: {how}"
        for process in here.values():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if here:
            return f"{_ranks(here)} was stopped, or is stuck"
        hosts = ", ".join(sorted({host for _, _, host in places}))
        symptom = "does not answer: it died, was stopped, or lost its connection"
        return f"{_ranks(missing)} on {hosts} {symptom}"


def _ranks(ranks: Iterable[int]) -> str:
    return " and ".join(f"rank {rank}" for rank in ranks)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _process() -> str:
    return f"{os.getpid()} {_launcher()} {socket.gethostname()}"


def _launcher() -> str:
    """Identify this host's torchrun: hosts may have the same name."""
    return f"{uuid.getnode():x}/{os.getppid()}"
