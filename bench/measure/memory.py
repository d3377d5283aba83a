"""Peak resident memory of one call, from the kernel's own record if it keeps one."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch

from mnist_mlp import device, memory

SAMPLING_SECONDS = 0.001


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The most memory held during a call, less what was held before it."""

    resident_bytes: int
    rss_bytes: int  # resident after the call, by psutil, what was held before it included
    seconds: float  # duration of the call, the first of its kind
    cuda_bytes: int | None  # allocated by torch; None where no GPU is in use
    method: str  # "VmHWM", the kernel's exact peak, or "sampled", a lower bound


def peak_memory(call: Callable[[], object]) -> Peak:
    """Make an untimed call and measure how much memory it needed at its peak."""
    spent = []

    def timed() -> None:
        started = time.perf_counter()
        call()
        spent.append(time.perf_counter() - started)

    is_on_gpu = torch.cuda.is_initialized()
    if is_on_gpu:
        device.wait()
        torch.cuda.reset_peak_memory_stats()
        held_bytes = torch.cuda.memory_allocated()
    exact = memory.peak_bytes(timed)
    resident_bytes = _sampled_peak_bytes(timed) if exact is None else exact
    device.wait()
    return Peak(
        resident_bytes=resident_bytes,
        rss_bytes=_rss_bytes(),
        seconds=spent[0],
        cuda_bytes=torch.cuda.max_memory_allocated() - held_bytes if is_on_gpu else None,
        method="sampled" if exact is None else "VmHWM",
    )


def _rss_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def _sampled_peak_bytes(call: Callable[[], object]) -> int:
    floor = highest = _rss_bytes()
    stopped = threading.Event()

    def sample() -> None:
        nonlocal highest
        while not stopped.wait(SAMPLING_SECONDS):
            highest = max(highest, _rss_bytes())

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        call()
    finally:
        stopped.set()
        sampler.join()
    return max(highest, _rss_bytes()) - floor
