"""Checks, before a case starts, that there is enough memory for it."""

import multiprocessing
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
import torch

from bench.measure import processes
from mnist_mlp import engines, memory
from mnist_mlp.memory import BatchMemory, NotEnoughMemoryError
from mnist_mlp.task_source import Source

PATIENCE_SECONDS = 120.0


def require(
    known: BatchMemory, engine: str, samples: int, options: Namespace, source: Source
) -> None:
    """Skip the case if a batch of so many samples will not fit in memory.

    With --force the batch is first tried in a fresh process, which loads the data once more, and
    the case fails if that process fails. A batch on a GPU is not tried.
    """
    try:
        known.require(samples, instead="use smaller batches, close other programs, or add --force")
    except NotEnoughMemoryError as error:
        if not options.force:
            pytest.skip(str(error))
        on_gpu = torch.cuda.is_initialized()
        cause = "" if on_gpu else fate(_train, engine, samples, options.lr, source)
        if cause:
            needs, _, _ = str(error).rpartition(": ")
            pytest.fail(
                f"{cause}, and {needs}: use smaller batches, or close other programs",
                pytrace=False,
            )


def fate(
    call: Callable[..., object], *arguments: Any, patience_seconds: float = PATIENCE_SECONDS
) -> str:
    """Make a call in a fresh process, and return why it failed; empty if it did not."""
    kills = memory.kills()
    processes.start_server()
    start = multiprocessing.get_context("forkserver").Process
    child = start(target=_try, args=(call, *arguments), daemon=True)
    child.start()
    try:
        child.join(patience_seconds)
        if child.is_alive():
            return f"a trial in a fresh process did not end within {patience_seconds:g} s"
    finally:
        child.kill()
        child.join()
    code = child.exitcode or 0
    if code >= 0:
        return "a trial in a fresh process failed" if code else ""
    trial = "memory ran out" if memory.kills() > kills else "a trial in a fresh process was killed"
    return f"{trial} ({signal.Signals(-code).name})"


def _try(call: Callable[..., object], *arguments: Any) -> None:
    memory.offer()  # the system kills this process before any other
    try:
        call(*arguments)
    except Exception:  # noqa: BLE001 - any error would fail the case, too
        sys.exit(1)


def _train(engine: str, samples: int, learning_rate: float, source: Source) -> None:
    task = source.load()
    part = task.train.head(samples)
    subject = engines.new(engine, task, learning_rate=learning_rate)
    subject.run(part, torch.arange(len(part)), len(part))
