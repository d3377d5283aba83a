"""A crew of the workers that torchrun has started, on one host or on several.

The first worker drives them all, itself included, through the store that torchrun keeps.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Thread

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from bench.instruments import worker
from bench.instruments.crew import PATIENCE_SECONDS, Crew
from mnist_mlp.workers import group
from mnist_mlp.workers.first_cause import fresh_name

LONG = timedelta(days=1)


class StoreConnection:
    """One end of a conversation between who drives the crew and a worker of it."""

    def __init__(self, store: Store, rank: int, *, sends: str, receives: str) -> None:
        self._store = store
        self._sends, self._receives = f"{sends}/{rank}", f"{receives}/{rank}"
        self._sent = self._received = 0

    def send_bytes(self, message: bytes) -> None:
        """Send a message."""
        self._store.set(f"{self._sends}/{self._sent}", message)  # type: ignore[arg-type]
        self._sent += 1

    def poll(self, seconds: float) -> bool:
        """Wait for the next message, so long at the most; whether it has come."""
        try:
            self._store.wait([self._next], timedelta(seconds=seconds))
        except RuntimeError:
            return False
        return True

    def recv_bytes(self) -> bytes:
        """Wait for the next message."""
        self._store.wait([self._next], LONG)
        message = self._store.get(self._next)
        self._store.delete_key(self._next)
        self._received += 1
        return message

    @property
    def _next(self) -> str:
        return f"{self._receives}/{self._received}"


def drive(body: Callable[[Crew], int]) -> int:
    """Be one of the crew; the first worker runs the body, and returns what that returns.

    Raises:
        LostError: a worker does not start.
        CrewError: a worker failed.

    """
    store, rank, size = next(rendezvous("env://", timeout=group.START_PATIENCE))
    name = fresh_name(store, rank=rank, size=size, patience=group.START_PATIENCE)
    own = PrefixStore(name, store)
    connection = StoreConnection(own, rank, sends="answer", receives="request")
    if rank:
        worker.answer_all(connection, own, rank)
        return 0
    itself = Thread(target=worker.answer_all, args=(connection, own, rank))
    itself.start()
    # Of its own: a store waits for one thing at a time.
    drivers = PrefixStore(name, next(rendezvous("env://", timeout=group.START_PATIENCE))[0])
    connections = [
        StoreConnection(drivers, other, sends="request", receives="answer") for other in range(size)
    ]
    crew = Crew(connections=connections, words=Path(os.devnull), patience_seconds=PATIENCE_SECONDS)
    try:
        crew.regroup(size)
        return body(crew)
    finally:
        for each in connections:
            each.send_bytes(b"")
        itself.join()
