"""What a worker of a crew does: it waits for requests, and calls what they name."""

import pickle
import signal
from contextlib import ExitStack
from multiprocessing.connection import Client

import torch
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from mnist_mlp import group

_store: Store
_rank: int
_group = ExitStack()


def serve(address: str) -> None:
    """Answer requests until who asks has gone."""
    global _store, _rank
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _store, _rank, _ = next(rendezvous("env://", timeout=group.START_PATIENCE))
    with Client(address) as connection, _group:
        connection.send(_rank)
        while True:
            try:
                function, arguments = pickle.loads(connection.recv_bytes())  # noqa: S301 - it is ours
            except EOFError:
                return
            try:
                answer = True, function(*arguments)
            except Exception as error:  # noqa: BLE001 - who asked raises it
                answer = False, f"{type(error).__name__}: {error}"
            connection.send_bytes(pickle.dumps(answer))


def regroup(size: int, threads: int, number: int) -> None:
    """Leave the group, and join the next one if this worker is among its first so many."""
    _group.close()
    torch.set_num_threads(threads)
    if _rank < size:
        store = PrefixStore(f"group {number}", _store)
        _group.enter_context(group.grouped(store, rank=_rank, size=size))
