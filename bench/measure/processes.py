"""Fresh processes to measure in, each with its own memory and its own choice of forms.

They are forked from a server that has imported torch and has computed nothing: torch's threads, of
which the server has none, do not survive a fork. A process started from scratch would import torch
for seconds.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any

from mnist_mlp import memory
from mnist_mlp.errors import UserError

IMPORTED = [
    *("bench.measure.step_time", "bench.measure.worker", "mnist_mlp.engines.native.loop"),
    "torch._dynamo",  # a process's first optimizer imports it, in seconds
]


def start_server() -> None:
    """Start the server now: it imports while this process goes on."""
    multiprocessing.set_forkserver_preload(IMPORTED)
    multiprocessing.forkserver.ensure_running()


@contextmanager
def fresh(
    count: int, begin: Callable[..., object], *arguments: Any
) -> Iterator[list[ProcessPoolExecutor]]:
    """Start pools of one process each, so that a call reaches the process that it is meant for.

    The end of the `with` block kills the processes: they hold nothing, and a process may be stuck.

    Each process first calls `begin` with the arguments and its number. If a process has died, the
    block ends with a UserError that says whether memory ran out.
    """
    start_server()
    kills = memory.kills()
    pools = [
        ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("forkserver"),
            initializer=_begin,
            initargs=(os.getpid(), begin, *arguments, number),
        )
        for number in range(count)
    ]
    numbers = [pool.submit(os.getpid) for pool in pools]
    try:
        yield pools
    except BrokenProcessPool as error:
        raise UserError(
            "the system killed a measuring process, since memory ran out: close other programs, or "
            "measure fewer batch sizes"
            if memory.kills() > kills
            else "a measuring process died, though memory did not run out: repeat the command"
        ) from error
    finally:
        for pool, number in zip(pools, numbers, strict=True):
            if number.done() and not number.exception():
                with suppress(ProcessLookupError):
                    os.kill(number.result(), signal.SIGKILL)
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in pools:
            pool.shutdown()


def _begin(parent: int, begin: Callable[..., object], *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends its processes
    memory.offer()
    if hasattr(os, "pidfd_open"):  # Linux only
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    begin(*arguments)


def _end_with(parent: int) -> None:
    """End this process when its parent has ended: a killed parent ends no other process."""
    with suppress(ProcessLookupError):
        select.select([os.pidfd_open(parent)], [], [])
    os._exit(1)
