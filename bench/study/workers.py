"""Processes that carry out a study's runs, one on each processor."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from bench.instruments.processes import ProcessError
from bench.study import trial
from bench.study.ledger import Ledger
from bench.study.plan import Carry
from bench.study.trial import Outcome, Task
from mnist_mlp import datasets
from mnist_mlp.data import Data


@contextmanager
def carrying(
    ledger: Ledger,
    *,
    data_root: Path | None,
    cache_dir: Path | None,
    tell: Callable[[Task], object],
) -> Iterator[Carry]:
    """Start a process for each processor; a run that the ledger has is not made again.

    What is yielded may be called by several threads. A run is in the ledger as soon as it ends, and
    `tell` is called with it. When the `with` block ends early, the current runs end first.
    """
    pool = ProcessPoolExecutor(
        max_workers=os.cpu_count(),
        mp_context=multiprocessing.get_context("spawn"),  # torch's threads do not survive a fork
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),  # Ctrl-C is for the study, which ends its workers
    )

    def carry(tasks: Sequence[Task]) -> Sequence[Outcome]:
        running = {
            pool.submit(_train, task, data_root, cache_dir): task
            for task in tasks
            if not ledger.has(task)
        }
        for ended in as_completed(running):
            if not ended.cancelled():
                ledger.add(running[ended].setting, ended.result())
                tell(running[ended])
        if any(each.cancelled() for each in running):
            raise CancelledError
        return [ledger.runs[task.setting] for task in tasks]

    try:
        yield carry
    except BrokenProcessPool as error:
        raise ProcessError(
            "a training process died, for one since memory ran out: close other programs, and run "
            "the command again, which goes on where it was"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@cache
def _data(data_root: Path | None, cache_dir: Path | None) -> Data:
    """Load the data once a process."""
    return datasets.load(data_root=data_root, cache_dir=cache_dir)


def _train(task: Task, data_root: Path | None, cache_dir: Path | None) -> Outcome:
    return trial.train(task, _data(data_root, cache_dir))
