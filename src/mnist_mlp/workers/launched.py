"""A command that torchrun starts in several processes: the first prints, and all end together.

Importing it does not import torch.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NoReturn

from mnist_mlp.interrupts import INTERRUPTED
from mnist_mlp.workers import PATIENCE, is_launched
from mnist_mlp.workers.first_cause import LostError, ToldToEndError

FAILED = 1


@contextmanager
def first_speaks() -> Iterator[None]:
    """Drop the output of all workers but the first while the body of the `with` runs."""
    if not is_launched() or os.environ["RANK"] == "0":
        yield
        return
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,  # noqa: PTH123
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        try:
            yield
        except SystemExit as end:
            if end.code:  # an exit now would make torchrun end the first worker before it prints
                time.sleep(PATIENCE.total_seconds())
            raise


def run_together(body: Callable[[], object], device_name: str) -> int:
    """Run the body in this worker of the group, and return its exit code.

    If a worker fails, one worker prints which worker failed first, and why; then all end.
    """
    from torch.distributed.elastic.multiprocessing.errors import (  # noqa: PLC0415 - takes long
        get_error_handler,
    )

    from mnist_mlp.workers import group  # noqa: PLC0415 - imports torch

    register = None
    signal.signal(signal.SIGTERM, _end)  # torchrun sends it when another worker has ended
    try:
        with group.joined(device_name) as register, first_speaks():
            body()
    except KeyboardInterrupt:
        with first_speaks():
            print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - every error ends all workers
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not isinstance(error, LostError):
            get_error_handler().record_exception(error)  # torchrun's own report reads it
        sentence = register.cause(error) if register else str(error)
        if sentence:
            print(f"error: {sentence}", file=sys.stderr)
        return FAILED
    return 0


def _end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise ToldToEndError("told to end")
