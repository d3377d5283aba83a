"""How much other processes used the machine while something was timed, by what Linux counts.

The kernel counts, in ticks of 10 ms (proc(5)), for each core how long processes had it and how long
the hypervisor did (`/proc/stat`), and for each process how long it and those that it started had
one (`/proc/PID/stat`). It counts how long a thread waited for a core, in nanoseconds
(`/proc/PID/task/TID/schedstat`; Documentation/scheduler/sched-stats.rst), and how long any process
did, in microseconds (`/proc/pressure/cpu`, Documentation/accounting/psi.rst). What a system does
not count is 0 here; only cores that this process may use are counted.
"""

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from bench.units import per_cent
from mnist_mlp import memory

ON_LINUX = sys.platform == "linux"
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
# By version of control groups: the field that says how long one was throttled, and its unit.
THROTTLED = {1: ("throttled_time", 1e-9), 2: ("throttled_usec", 1e-6)}

# The share of a case's seconds beyond which it counts as disturbed; docs/method.md has the
# experiment that these come from.
MOST_OF_OTHERS = 0.06
MOST_STOLEN = 0.05
MOST_THROTTLED = 0.05
TICKS = 3  # that a share counted in ticks must be of at the least
SURE_TICKS = 5  # that others take in a short time only where they do disturb it
LONG_SECONDS = 30 * TICK_SECONDS
MOST_CLOCK_STEP_SECONDS = 0.05
MOST_DRIFT = 1e-3  # of the wall clock, which a time server steers
MOST_SLEPT_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Counters at a moment; seconds since some beginning, but for the switches."""

    monotonic: float
    wall: float  # the clock that people set
    boot: float  # as monotonic, and the time asleep
    own: float  # that this process and what it started had on the cores
    waited: float  # that they wanted a core and had none, summed over threads
    busy: float  # that all processes had
    stolen: float  # by the hypervisor
    pressure: float  # in which some process waited for a core
    throttled: float  # by this process's control group
    switches: int  # of this process from a core, that it did not ask for


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What happened between two readings; a share of 1 is one core, or all of the time."""

    seconds: float
    waited_share: float
    others_share: float  # other processes, on the cores
    stolen_share: float
    pressure_share: float
    throttled_share: float
    switches: int
    clock_step_seconds: float  # by which somebody set the wall clock
    slept_seconds: float  # that the machine was suspended
    counted_seconds: float  # that what is counted in ticks is a share of

    @property
    def cause(self) -> str:
        """What disturbed the case, in words; nothing where nothing did."""
        tick = TICKS * TICK_SECONDS / self.counted_seconds
        steps = MOST_CLOCK_STEP_SECONDS + MOST_DRIFT * self.seconds
        waited = f"its threads waited {self.waited_share * self.seconds:.2g} s for one"
        causes = {
            f"the machine slept for {self.slept_seconds:.1f} s": (
                self.slept_seconds > MOST_SLEPT_SECONDS
            ),
            f"the hypervisor took {per_cent(self.stolen_share)} of a core": (
                self.stolen_share > max(MOST_STOLEN, tick)
            ),
            f"its control group was throttled {per_cent(self.throttled_share)} of the time": (
                self.throttled_share > MOST_THROTTLED
            ),
            f"other processes took {per_cent(self.others_share)} of a core, and {waited}": (
                self.others_share > max(MOST_OF_OTHERS, tick)
            ),
            f"the clock was set by {self.clock_step_seconds:+.2f} s": (
                abs(self.clock_step_seconds) > steps
            ),
        }
        return next((words for words, is_so in causes.items() if is_so), "")

    @property
    def amount(self) -> float:
        """How much was taken, in cores: of two runs of a case the lesser is kept."""
        return self.others_share + self.stolen_share + self.throttled_share


def read() -> Reading:
    """Read the counters; a third of a millisecond, outside of what is timed."""
    times = os.times()
    children = list(_descendants("self"))
    busy, stolen = _of_cores()
    return Reading(
        monotonic=time.monotonic(),
        wall=time.time(),
        boot=time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)),
        own=sum(times[:4]) + sum(map(_had, children)),
        waited=sum(map(_waited, ["self", *children])),
        busy=busy,
        stolen=stolen,
        pressure=_pressure(),
        throttled=_throttled(),
        switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
    )


def between(earlier: Reading, before: Reading, after: Reading) -> Disturbance:
    """Return what happened between two readings, before and after the timed calls.

    What is counted in ticks tells little of a few hundredths of a second: unless others took many,
    they are counted from an earlier reading on.
    """
    seconds = after.monotonic - before.monotonic
    is_sure = _others(before, after) >= SURE_TICKS * TICK_SECONDS
    since = before if seconds > LONG_SECONDS or is_sure else earlier
    counted_seconds = after.monotonic - since.monotonic
    asleep = max(0.0, (after.boot - before.boot) - seconds)
    return Disturbance(
        seconds=seconds,
        # The counters of a thread that ended are gone with it.
        waited_share=max(0.0, after.waited - before.waited) / seconds,
        others_share=max(0.0, _others(since, after)) / counted_seconds,
        stolen_share=(after.stolen - since.stolen) / counted_seconds,
        pressure_share=(after.pressure - before.pressure) / seconds,
        throttled_share=(after.throttled - before.throttled) / seconds,
        switches=after.switches - before.switches,
        clock_step_seconds=(after.wall - before.wall) - seconds - asleep,
        slept_seconds=asleep,
        counted_seconds=counted_seconds,
    )


def _others(before: Reading, after: Reading) -> float:
    """Seconds that other processes had on the cores between two readings."""
    return (after.busy - before.busy) - (after.own - before.own)


def _descendants(process: str) -> Iterator[str]:
    """Yield the processes that a process has started, and those that they have."""
    with suppress(OSError):  # it has ended
        for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208 - in a hurry
            for child in _words(f"/proc/{process}/task/{thread}/children"):
                yield child
                yield from _descendants(child)


def _had(process: str) -> float:
    """Seconds that a process had on the cores, and those that it started and that have ended."""
    _, _, fields = " ".join(_words(f"/proc/{process}/stat")).rpartition(")")
    return sum(map(int, fields.split()[11:15])) * TICK_SECONDS


def _waited(process: str) -> float:
    """Seconds that the threads of a process waited for a core."""
    waited = 0
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208
            fields = _words(f"/proc/{process}/task/{thread}/schedstat")
            waited += int(fields[1]) if fields else 0
    return waited * 1e-9


def _of_cores() -> tuple[float, float]:
    """Seconds that processes had on the cores that this one may use, and the hypervisor took."""
    allowed = {f"cpu{core}" for core in os.sched_getaffinity(0)} if ON_LINUX else set()
    ran = stolen = 0
    for line in _text("/proc/stat").partition("\nintr")[0].splitlines():
        core, *fields = line.split()
        if core in allowed:
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
            ran, stolen = ran + user + nice + system + irq + softirq, stolen + steal
    return ran * TICK_SECONDS, stolen * TICK_SECONDS


def _pressure() -> float:
    some = _words("/proc/pressure/cpu", until="\n")
    return int(some[-1].removeprefix("total=")) * 1e-6 if some else 0.0


def _throttled() -> float:
    """Return the longest that one of the control groups of this process was throttled."""
    longest = 0.0
    for file, field, unit in _throttle_counters():
        words = _words(file)
        if field in words:
            longest = max(longest, int(words[words.index(field) + 1]) * unit)
    return longest


@cache
def _throttle_counters() -> list[tuple[str, str, float]]:
    """Find each file that says so, its field, and the field's unit in seconds."""
    return [
        (str(folder / "cpu.stat"), *THROTTLED[version]) for version, folder in memory.cgroups("cpu")
    ]


def _words(file: str, *, until: str = "") -> list[str]:
    """Split what a file says up to some character; nothing where there is no such file."""
    text = _text(file)
    return (text.partition(until)[0] if until else text).split()


def _text(file: str) -> str:
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 1 << 16).decode()
    except OSError:  # the thread has ended
        return ""
    finally:
        os.close(descriptor)
