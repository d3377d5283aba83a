"""What a worker of a crew does: it waits for requests, and calls what they name."""

import pickle
import signal
from contextlib import ExitStack, suppress
from multiprocessing.connection import Client

import torch
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from mnist_mlp.workers import group
from mnist_mlp.workers.first_cause import LostError

_store: Store
_rank: int
_group = ExitStack()


def serve(address: str) -> None:
    """Connect to who asks at an address, and call what is asked for until it has gone."""
    global _store, _rank
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _store, _rank, _ = next(rendezvous("env://", timeout=group.START_PATIENCE))
    with Client(address) as connection, _group, suppress(EOFError):
        connection.send(_rank)
        while True:
            function, arguments = pickle.loads(connection.recv_bytes())  # noqa: S301 - it is ours
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
