"""python -m bench.gate.worker: one version's side of a duet.

Imports its own tree once, then serves each duet from a fresh fork of itself, so that a fresh
process costs milliseconds and not an import of torch. Driven by a line of JSON a request, answered
by a line of JSON each; the end of the input ends it.
"""

import ctypes
import gc
import json
import os
import random
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

import mnist_mlp
from bench import cases
from bench.cases import Case
from bench.gate import PROTOCOL, workload
from bench.gate.workload import Workload
from bench.instruments.memory import peak_memory
from mnist_mlp import engines

# glibc gives freed memory back or keeps it by what else lies above it: one process in thirty was
# 10 % slower throughout. Kept memory makes processes of equal code equal.
KEPT_BYTES = 1 << 25  # the most that glibc takes
MAPPED_BYTES = 1 << 17  # its default
M_MMAP_THRESHOLD = -3  # malloc.h
LARGEST_OFFSET_BYTES = 1 << 16


class Channel:
    """Lines of JSON over two descriptors; nothing is read ahead, since a fork would inherit it."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink

    def requests(self) -> Iterator[dict[str, Any]]:
        """Each request, until the input ends."""
        line = b""
        while piece := os.read(self._source, 1 << 16):
            line += piece
            if line.endswith(b"\n"):
                yield json.loads(line)
                line = b""

    def answer(self, **fields: object) -> None:
        """Answer the last request."""
        os.write(self._sink, json.dumps(fields).encode() + b"\n")


def main() -> None:
    """Say hello, then fork a process a duet."""
    channel = Channel(source=os.dup(0), sink=os.dup(1))
    os.dup2(2, 1)  # what a case prints is no answer
    workload.prepare()
    gc.collect()
    gc.freeze()  # a collection in a fork leaves what was imported alone
    channel.answer(
        protocol=PROTOCOL,
        package=str(Path(mnist_mlp.__path__[0]).resolve()),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        cases=[asdict(case) for case in cases.gate_cases(tuple(engines.ENGINES))],
    )
    for request in channel.requests():
        child = os.fork()
        if child == 0:
            code = 1
            try:
                serve(channel, request["cores"], random.Random(request["seed"]))
                code = 0
            except BaseException:  # noqa: BLE001 - a fork must never go on as its parent
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        channel.answer(**({"ended": True} if code == 0 else {"died": code}))


def serve(channel: Channel, cores: list[int], rng: random.Random) -> None:
    """Answer requests about cases in this fork, until one is to end."""
    if cores:
        os.sched_setaffinity(0, cores)
    # A fork inherits where its parent's data lie; an exec'd process would find them elsewhere.
    offset = torch.empty(rng.randrange(LARGEST_OFFSET_BYTES), dtype=torch.uint8)
    workloads = cache(lambda **case: workload.build(Case(**case)))
    channel.answer(ready=True)
    for request in channel.requests():
        if request["do"] == "end":
            break
        try:
            channel.answer(result=ask(workloads(**request["case"]), request))
        except Exception as error:  # noqa: BLE001 - whatever a version raises is its answer
            traceback.print_exc()
            channel.answer(error=f"{type(error).__name__}: {error}")
    del offset


def ask(subject: Workload, request: dict[str, Any]) -> object:
    """Do what is asked with one case."""
    if request["do"] == "turn":
        units = request["units"]
        started = time.perf_counter()
        for _ in range(units):
            subject.unit()
        return (time.perf_counter() - started) / units
    if request["do"] == "peak":
        subject.unit()  # loads what is loaded once
        with large_blocks_mapped():
            return peak_memory(subject.peak).resident_bytes
    return subject.losses().tolist()


@contextmanager
def large_blocks_mapped() -> Iterator[None]:
    """Give large blocks pages of their own, as far as glibc does: holes in its heap blur a peak."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
    yield
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # whoever asked has gone
        main()
