"""How much memory is free here, by what Linux counts, and how much a batch will need.

Nothing is imported but the standard library.
"""

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from mnist_mlp.errors import UserError

PROBES = (512, 1024, 2048, 4096)  # samples of a batch; the last two peaks give a line
WARY = 4  # times the last peak must be free for the next probe, of twice the size
CGROUPS = Path("/sys/fs/cgroup")
# By version of control groups: the limit, what is used, and the parts of it that can be taken back.
CGROUP_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    2: ("memory.max", "memory.current"),
}
RECLAIMABLE = {1: ("total_inactive_file", "total_active_file"), 2: ("inactive_file", "active_file")}


class NotEnoughMemoryError(UserError):
    """What was asked for needs more memory than is free; the message gives both."""


def free_bytes() -> int | None:
    """Return what is free on this machine, or in the control group that has the least left.

    None where the system does not report it, as on macOS.
    """
    found = [left for left in (_free_on_machine(), *_free_in_cgroups()) if left is not None]
    return min(found, default=None)


def _free_on_machine() -> int | None:
    told = _read(Path("/proc/meminfo"))
    available = _kib(told, "MemAvailable:")
    return None if available is None else available + (_kib(told, "SwapFree:") or 0)


def _free_in_cgroups() -> Iterator[int]:
    """Yield what is left below each limit that holds for this process."""
    for version, folder in cgroups("memory"):
        left = _free_in(folder, version)
        if left is not None:
            yield left


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
    """Return what this process holds for itself alone; 0 where the system does not tell."""
    return _kib(_read(Path("/proc/self/status")), "RssAnon:") or 0


def peak_bytes(call: Callable[[], object]) -> int | None:
    """Make a call, and return how much more memory was resident at its peak than before.

    By the kernel's own high-water mark. None where it cannot be reset, and the call is not made.
    """
    release_free()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the mark to what is resident now
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
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl hasn't
        if trim:
            trim(0)


def peaks_of_probes(train_on: Callable[[int], object]) -> dict[int, int]:
    """Measure the peak of training on one batch of each size in `PROBES`, as far as they fit.

    Args:
        train_on: trains on one batch of so many samples.

    Returns:
        Batch size -> bytes; nothing where the system does not tell.

    """
    peaks: dict[int, int] = {}
    for size in PROBES:
        free = free_bytes()
        if free is not None and peaks and WARY * max(peaks.values()) > free:
            break
        train_on(size)  # the first of its kind allocates what later ones find
        peak = peak_bytes(lambda: train_on(size))  # noqa: B023
        if peak is not None:
            peaks[size] = peak
    return peaks


def predicted_bytes(peaks: Mapping[int, int], batch_size: int) -> float:
    """Return the peak of a larger batch, on the line through those of the two largest probes.

    Where memory sufficed for one probe alone, the line begins at 0; without any, 0 is returned.
    """
    if not peaks:
        return 0.0
    (small, less), (large, more) = [(0, 0), *sorted(peaks.items())][-2:]
    return more + (batch_size - large) * max(0.0, (more - less) / (large - small))


def require(needed: float, what: str, *, instead: str) -> None:
    """Refuse what needs more memory than is free.

    Args:
        needed: bytes more than this process holds now.
        what: needs them.
        instead: what the user can do.

    Raises:
        NotEnoughMemoryError: gives what is needed, what is free, and what to do.

    """
    free = free_bytes()
    if free is not None and needed > free:
        raise NotEnoughMemoryError(
            f"{what} needs about {needed / 1e6:,.0f} MB more memory, and {free / 1e6:,.0f} MB are "
            f"free here: {instead}"
        )


class BatchMemory:
    """What an engine needs for one batch, by the line through small ones, measured once.

    Args:
        engine: its name.
        train_on: trains on one batch of so many samples.

    """

    def __init__(self, engine: str, train_on: Callable[[int], object]) -> None:
        self._engine = engine
        self._train_on = train_on

    @cached_property
    def _peaks(self) -> dict[int, int]:
        return peaks_of_probes(self._train_on)

    def require(self, batch_size: int, *, instead: str) -> None:
        """Refuse a batch that needs more memory than is free; one as small as a probe fits.

        Raises:
            NotEnoughMemoryError: as `require` raises it.

        """
        if batch_size > max(PROBES) and free_bytes() is not None:
            needed = predicted_bytes(self._peaks, batch_size)
            require(
                needed, f"batch size {batch_size} with the {self._engine} engine", instead=instead
            )


def kills() -> int:
    """Return how many processes the system has killed so far because memory ran out."""
    words = _read(Path("/proc/vmstat")).split()
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def offer() -> None:
    """Let this process be the first that the system kills where memory runs out, not its parent."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _kib(text: str, field: str) -> int | None:
    words = text.split()
    return int(words[words.index(field) + 1]) * 1024 if field in words else None


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text()
    return ""
