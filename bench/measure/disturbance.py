"""How much other processes used the machine while something was timed, from Linux's counters.

The kernel counts in ticks of 10 ms (proc(5)) how long processes, and the hypervisor, used each
core, and how long each process ran. A counter that the system lacks is 0 here. Only the cores that
this process may use are counted.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import psutil

from bench.units import per_cent
from mnist_mlp import memory

ON_LINUX = sys.platform == "linux"
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
# Version of control groups -> the field of throttled time, and its unit in seconds.
THROTTLED = {1: ("throttled_time", 1e-9), 2: ("throttled_usec", 1e-6)}
RUNNING = ("user", "nice", "system", "irq", "softirq")  # psutil's names of running time

# The share of a case's seconds beyond which it counts as disturbed, from the experiment in
# docs/reference/method.md.
MOST_OF_OTHERS = 0.06
MOST_STOLEN = 0.05
MOST_THROTTLED = 0.05
TICKS = 3  # a share of fewer ticks is never a disturbance
SURE_TICKS = 5  # this many ticks of other processes disturb even a short time
LONG_SECONDS = 30 * TICK_SECONDS
MOST_CLOCK_STEP_SECONDS = 0.05
MOST_DRIFT = 1e-3  # relative drift of a wall clock that a time server steers
MOST_SLEPT_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Counters at a moment, in seconds since an arbitrary start."""

    monotonic: float
    wall: float  # the clock that can be set
    boot: float  # monotonic time plus time asleep
    own: float  # core time of this process and its descendants
    busy: float  # core time of all processes
    stolen: float  # core time that the hypervisor took
    throttled: float  # time that this process's control group was throttled


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What happened between two readings; a share of 1 is one core, or all of the time."""

    seconds: float
    others_share: float  # core time of other processes
    stolen_share: float
    throttled_share: float
    clock_step_seconds: float  # jump of the wall clock
    slept_seconds: float  # time that the machine was suspended
    counted_seconds: float  # denominator of the shares that are counted in ticks

    @property
    def cause(self) -> str:
        """What disturbed the case, in words; empty if nothing did."""
        tick = TICKS * TICK_SECONDS / self.counted_seconds
        clock_steps = MOST_CLOCK_STEP_SECONDS + MOST_DRIFT * self.seconds
        if self.slept_seconds > MOST_SLEPT_SECONDS:
            return f"the machine slept for {self.slept_seconds:.1f} s"
        if self.stolen_share > max(MOST_STOLEN, tick):
            return f"the hypervisor took {per_cent(self.stolen_share)} of a core"
        if self.throttled_share > MOST_THROTTLED:
            return f"its control group was throttled {per_cent(self.throttled_share)} of the time"
        if self.others_share > max(MOST_OF_OTHERS, tick):
            return f"other processes took {per_cent(self.others_share)} of a core"
        if abs(self.clock_step_seconds) > clock_steps:
            return f"the clock was set by {self.clock_step_seconds:+.2f} s"
        return ""


def amount(saved: Mapping[str, float]) -> float:
    """Return how many cores a stored disturbance took, of this or an earlier version.

    Of two runs of a case, the less disturbed run is kept.
    """
    return saved["others_share"] + saved["stolen_share"] + saved["throttled_share"]


def read() -> Reading:
    """Read the counters, which takes a tenth of a millisecond and is not timed."""
    busy, stolen = _of_cores()
    return Reading(
        monotonic=time.monotonic(),
        wall=time.time(),
        boot=time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)),
        own=sum(os.times()[:4]) + sum(map(_core_seconds, _descendants("self"))),
        busy=busy,
        stolen=stolen,
        throttled=_throttled(),
    )


def between(earlier: Reading, before: Reading, after: Reading) -> Disturbance:
    """Return what happened between two readings, before and after the timed calls.

    Ticks are too coarse for a few hundredths of a second. Unless other processes took many ticks,
    those of a short time are counted from an earlier reading on.
    """
    seconds = after.monotonic - before.monotonic
    is_sure = _others(before, after) >= SURE_TICKS * TICK_SECONDS
    since = before if seconds > LONG_SECONDS or is_sure else earlier
    counted_seconds = after.monotonic - since.monotonic
    asleep = max(0.0, (after.boot - before.boot) - seconds)
    return Disturbance(
        seconds=seconds,
        others_share=max(0.0, _others(since, after)) / counted_seconds,
        stolen_share=(after.stolen - since.stolen) / counted_seconds,
        throttled_share=(after.throttled - before.throttled) / seconds,
        clock_step_seconds=(after.wall - before.wall) - seconds - asleep,
        slept_seconds=asleep,
        counted_seconds=counted_seconds,
    )


def _others(before: Reading, after: Reading) -> float:
    """Return the core time of other processes between two readings."""
    return (after.busy - before.busy) - (after.own - before.own)


def _of_cores() -> tuple[float, float]:
    """Return the core time of all processes, and the core time that the hypervisor took."""
    if not ON_LINUX:
        return 0.0, 0.0
    own = os.sched_getaffinity(0)
    cores = [times for core, times in enumerate(psutil.cpu_times(percpu=True)) if core in own]
    busy = sum(getattr(core, field) for core in cores for field in RUNNING)
    return busy, sum(core.steal for core in cores)


def _descendants(process: str) -> Iterator[str]:
    """Yield the process's children, their children, and so on.

    psutil's children() reads every process of the machine, which takes milliseconds.
    """
    with suppress(OSError):  # the process has ended
        for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208 - in a hurry
            for child in _words(f"/proc/{process}/task/{thread}/children"):
                yield child
                yield from _descendants(child)


def _core_seconds(process: str) -> float:
    """Return the core time of a process and of its children that have ended.

    A psutil.Process takes twice as long, since it first reads when the process began.
    """
    with suppress(OSError):
        _, _, fields = " ".join(_words(f"/proc/{process}/stat")).rpartition(")")
        return sum(map(int, fields.split()[11:15])) * TICK_SECONDS
    return 0.0


def _throttled() -> float:
    """Return the longest time for which a control group of this process was throttled."""
    longest = 0.0
    for file, field, unit in _throttle_counters():
        with suppress(OSError, ValueError):  # no such file, or no such field
            words = _words(file)
            longest = max(longest, int(words[words.index(field) + 1]) * unit)
    return longest


@cache
def _throttle_counters() -> list[tuple[str, str, float]]:
    """Find each file that counts throttling, its field, and the field's unit in seconds."""
    return [
        (f"{folder}/cpu.stat", *THROTTLED[version]) for version, folder in memory.cgroups("cpu")
    ]


def _words(file: str) -> list[str]:
    with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - a Path is slower
        return opened.read().split()
