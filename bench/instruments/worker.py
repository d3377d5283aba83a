"""What a worker of a crew does: it waits for requests, and calls what they name."""

import pickle
import signal
from contextlib import ExitStack, suppress
from multiprocessing.connection import Client
from typing import Protocol

import torch
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from mnist_mlp.workers import group
from mnist_mlp.workers.first_cause import LostError

_store: Store
_rank: int
_group = ExitStack()


class Connection(Protocol):
    """One end of a conversation."""

    def send_bytes(self, message: bytes, /) -> None:
        """Send a message."""

    def recv_bytes(self) -> bytes:
        """Wait for the next message."""


def serve(address: str) -> None:
    """Connect to who asks at an address, and answer until it has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store, rank, _ = next(rendezvous("env://", timeout=group.START_PATIENCE))
    with Client(address) as connection:
        connection.send(rank)
        answer_all(connection, store, rank)


def answer_all(connection: Connection, store: Store, rank: int) -> None:
    """Call what is asked for, and answer, until an empty request or the end of the connection."""
    global _store, _rank
    _store, _rank = store, rank
    with _group, suppress(EOFError):
        while request := connection.recv_bytes():
            function, arguments = pickle.loads(request)  # noqa: S301 - it is ours
            answer: tuple[bool, object]
            try:
                answer = True, function(*arguments)
            except Exception as error:  # noqa: BLE001 - who asked raises it
                answer = False, (isinstance(error, LostError), f"{type(error).__name__}: {error}")
            connection.send_bytes(pickle.dumps(answer))


def regroup(size: int, threads: int, number: int) -> None:
    """Leave the group, and join the next one if this worker is among its first so many."""
    _group.close()
    torch.set_num_threads(threads)
    if _rank < size:
        store = PrefixStore(f"group {number}", _store)
        _group.enter_context(group.grouped(store, rank=_rank, size=size))
