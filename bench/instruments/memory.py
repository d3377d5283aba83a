"""Peak resident memory of one call, by the kernel's own peak where there is one."""

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from mnist_mlp.device import GpuPeak

SAMPLING_SECONDS = 0.001


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The most memory held during a call, less what was held before it."""

    resident_bytes: int
    seconds: float  # that the call took, the first of its kind
    cuda_bytes: int | None  # allocated by torch; None where no GPU is in use
    method: str  # "VmHWM", the kernel's exact peak, or "sampled", a lower bound


def peak_memory(call: Callable[[], object]) -> Peak:
    """Make an untimed call and measure how much memory it needed at its peak."""
    by_kernel = kernel_peak_can_be_reset()
    spent = []

    def timed() -> None:
        started = time.perf_counter()
        call()
        spent.append(time.perf_counter() - started)

    with GpuPeak() as gpu:
        _release_free_memory()
        resident_bytes = _kernel_peak_bytes(timed) if by_kernel else _sampled_peak_bytes(timed)
    return Peak(
        resident_bytes=resident_bytes,
        seconds=spent[0],
        cuda_bytes=gpu.bytes,
        method="VmHWM" if by_kernel else "sampled",
    )


def _release_free_memory() -> None:
    """Return freed memory to the system, so that it does not count as resident before the call."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl hasn't
        if trim:
            trim(0)


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def kernel_peak_can_be_reset() -> bool:
    """Whether this kernel lets a process reset its peak, as Linux does."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _kernel_peak_bytes(call: Callable[[], object]) -> int:
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to what is resident now
    floor = _resident_bytes()
    call()
    status = Path("/proc/self/status").read_text()
    high_water_kib = int(status.split("VmHWM:")[1].split()[0])
    return max(0, high_water_kib * 1024 - floor)


def _sampled_peak_bytes(call: Callable[[], object]) -> int:
    floor = highest = _resident_bytes()
    stopped = threading.Event()

    def sample() -> None:
        nonlocal highest
        while not stopped.wait(SAMPLING_SECONDS):
            highest = max(highest, _resident_bytes())

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        call()
    finally:
        stopped.set()
        sampler.join()
    return max(highest, _resident_bytes()) - floor
