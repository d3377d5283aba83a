"""The memory and the cores that this process may use, and the memory that a batch will need.

Nothing is imported but the standard library.
"""

import ctypes
import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from mnist_mlp.errors import UserError

PROBES = (512, 1024, 2048, 4096)  # batch sizes; a line goes through the last two peaks
CAUTION = 4  # the next probe, of twice the size, runs if this many times the last peak is free
CGROUPS = Path("/sys/fs/cgroup")
# Per version of control groups: files of limit and usage, of CPU quota, and reclaimable parts.
CGROUP_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    2: ("memory.max", "memory.current"),
}
CPU_FILES = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}
RECLAIMABLE = {1: ("total_inactive_file", "total_active_file"), 2: ("inactive_file", "active_file")}


class NotEnoughMemoryError(UserError):
    """What was asked for needs more memory than is free; the message gives both."""


def free_bytes() -> int | None:
    """Return the memory free on this machine, or in the control group that has the least left.

    None where the system does not report it, as on macOS.
    """
    in_groups = (_free_in(folder, version) for version, folder in cgroups("memory"))
    amounts = [amount for amount in (_free_on_machine(), *in_groups) if amount is not None]
    return min(amounts, default=None)


def _free_on_machine() -> int | None:
    text = _read(Path("/proc/meminfo"))
    available = _kib(text, "MemAvailable:")
    return None if available is None else available + (_kib(text, "SwapFree:") or 0)


def cgroups(controller: str) -> Iterator[tuple[int, Path]]:
    """Yield the version and the folder of each control group whose limits hold for this process."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        version, root = (1, CGROUPS / controller) if controllers else (2, CGROUPS)
        place = root / path.lstrip("/")
        for folder in (place, *place.parents):
            yield version, folder
            if folder == root:
                break


def usable_cores() -> int:
    """Return how many cores this process may use: its affinity and its control groups' quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quotas = (_core_quota(folder, version) for version, folder in cgroups("cpu"))
    return max(1, min([cores, *(quota for quota in quotas if quota is not None)]))


def _core_quota(folder: Path, version: int) -> int | None:
    """Return how many whole cores a control group may use; None if there is no limit."""
    words = [word for name in CPU_FILES[version] for word in _read(folder / name).split()]
    try:
        quota, period = map(int, words)
    except ValueError:  # no such group, or "max"
        return None
    return quota // period if quota > 0 else None


def _free_in(folder: Path, version: int) -> int | None:
    limit, usage = CGROUP_FILES[version]
    try:
        most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None
    words = _read(folder / "memory.stat").split()
    spare = sum(int(words[words.index(part) + 1]) for part in RECLAIMABLE[version] if part in words)
    return max(0, most - used + spare)


def own_bytes() -> int:
    """Return the memory that this process shares with no other process; 0 if unreported."""
    return _kib(_read(Path("/proc/self/status")), "RssAnon:") or 0


def peak_bytes(call: Callable[[], object]) -> int | None:
    """Make a call, and return how much more memory was resident at its peak than before.

    The kernel keeps the peak. Where it cannot be reset, None is returned and no call is made.
    """
    release_free()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is resident now
    except OSError:
        return None
    before = _kib(_read(Path("/proc/self/status")), "VmRSS:") or 0
    call()
    after = _kib(_read(Path("/proc/self/status")), "VmHWM:") or 0
    return max(0, after - before)


def release_free() -> None:
    """Return freed memory to the system, so that it does not count as resident."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim:
            trim(0)


def predicted_bytes(peaks: Mapping[int, int], batch_size: int) -> float:
    """Return the peak of a larger batch, on the line through the peaks of the two largest probes.

    With only one probe, the line begins at 0; without any, 0 is returned.
    """
    if not peaks:
        return 0.0
    (small, less), (large, more) = [(0, 0), *sorted(peaks.items())][-2:]
    return more + (batch_size - large) * max(0.0, (more - less) / (large - small))


def require(needed: float, purpose: str, *, instead: str) -> None:
    """Raise NotEnoughMemoryError if `needed` bytes, beyond the bytes held now, are not free.

    The message begins with the purpose, and ends with what the user can do instead.
    """
    free = free_bytes()
    if free is not None and needed > free:
        raise NotEnoughMemoryError(
            f"{purpose} needs about {needed / 1e6:,.0f} MB more memory, and {free / 1e6:,.0f} MB "
            f"are free here: {instead}"
        )


class BatchMemory:
    """The memory that an engine needs for one batch, extrapolated from small batches.

    `train_on` trains on one batch of the number of samples that it is given.
    """

    def __init__(self, engine: str, train_on: Callable[[int], object]) -> None:
        self._engine = engine
        self._train_on = train_on

    @cached_property
    def _peaks(self) -> dict[int, int]:
        """Peak bytes of training on one batch, for the batch sizes in `PROBES` that fit."""
        peaks: dict[int, int] = {}
        for size in PROBES:
            free = free_bytes()
            if free is not None and peaks and CAUTION * max(peaks.values()) > free:
                break
            self._train_on(size)  # the first batch allocates what later batches reuse
            peak = peak_bytes(lambda: self._train_on(size))  # noqa: B023
            if peak is not None:
                peaks[size] = peak
        return peaks

    def require(self, batch_size: int, *, instead: str) -> None:
        """Refuse a batch that needs more memory than is free; the size of a probe always fits."""
        if batch_size > max(PROBES) and free_bytes() is not None:
            purpose = f"batch size {batch_size} with the {self._engine} engine"
            require(predicted_bytes(self._peaks, batch_size), purpose, instead=instead)


def kills() -> int:
    """Return how many processes the system has killed so far because memory ran out."""
    words = _read(Path("/proc/vmstat")).split()
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def offer() -> None:
    """Let the system kill this process first if memory runs out, not its parent."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _kib(text: str, field: str) -> int | None:
    words = text.split()
    return int(words[words.index(field) + 1]) * 1024 if field in words else None


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text()
    return ""
