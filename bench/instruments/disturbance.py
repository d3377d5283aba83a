"""How far others had the machine while something was timed, from what Linux counts anyway.

For each thread the kernel counts how long it ran and how long it waited for a core, in nanoseconds
(`/proc/PID/task/TID/schedstat`; Documentation/scheduler/sched-stats.rst). It counts all processes'
time on the cores, and what the hypervisor took of it, in ticks of 10 ms (`/proc/stat`, proc(5)),
and how long any process waited for a core, in microseconds (`/proc/pressure/cpu`,
Documentation/accounting/psi.rst). What a system does not count is 0 here.
"""

import os
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
THROTTLED = (  # the field of cgroup v2 and that of v1, and its unit in seconds
    (Path("/sys/fs/cgroup/cpu.stat"), "throttled_usec", 1e-6),
    (Path("/sys/fs/cgroup/cpu/cpu.stat"), "throttled_time", 1e-9),
)


# What of a case's seconds others may take before the case counts as disturbed; docs/method.md has
# the experiment that these come from.
MOST_OF_OTHERS = 0.06
MOST_STOLEN = 0.05
MOST_THROTTLED = 0.05
TICKS = 3  # that a share counted in ticks must be of at the least
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
        others = f"other processes took {self.others_share:.0%} of a core"
        causes = {
            f"the machine slept for {self.slept_seconds:.1f} s": (
                self.slept_seconds > MOST_SLEPT_SECONDS
            ),
            f"the hypervisor took {self.stolen_share:.0%} of a core": (
                self.stolen_share > max(MOST_STOLEN, tick)
            ),
            f"its control group was throttled for {self.throttled_share:.0%} of its time": (
                self.throttled_share > MOST_THROTTLED
            ),
            f"{others}, and it waited for one for {self.waited_share:.0%} of its time": (
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
    children_ran, children_waited = _counted(_descendants("self"))
    _, waited = _counted(["self"])
    busy, stolen = _of_all()
    return Reading(
        monotonic=time.monotonic(),
        wall=time.time(),
        boot=time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)),
        own=sum(times[:4]) + children_ran,
        waited=waited + children_waited,
        busy=busy,
        stolen=stolen,
        pressure=_pressure(),
        throttled=_throttled(),
        switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
    )


def between(earlier: Reading, before: Reading, after: Reading) -> Disturbance:
    """Return what happened between two readings, before and after the timed calls.

    What is counted in ticks tells little of a few hundredths of a second: for short ones it is
    counted from an earlier reading on.
    """
    seconds = after.monotonic - before.monotonic
    since = before if seconds > LONG_SECONDS else earlier
    counted_seconds = after.monotonic - since.monotonic
    others = (after.busy - since.busy) - (after.own - since.own)
    asleep = max(0.0, (after.boot - before.boot) - seconds)
    return Disturbance(
        seconds=seconds,
        # The counters of a thread that ended are gone with it.
        waited_share=max(0.0, after.waited - before.waited) / seconds,
        others_share=max(0.0, others) / counted_seconds,
        stolen_share=(after.stolen - since.stolen) / counted_seconds,
        pressure_share=(after.pressure - before.pressure) / seconds,
        throttled_share=(after.throttled - before.throttled) / seconds,
        switches=after.switches - before.switches,
        clock_step_seconds=(after.wall - before.wall) - seconds - asleep,
        slept_seconds=asleep,
        counted_seconds=counted_seconds,
    )


def _descendants(process: str) -> Iterator[str]:
    """Yield the processes that a process has started, and those that they have."""
    with suppress(OSError):  # it has ended
        for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208 - in a hurry
            for child in _words(f"/proc/{process}/task/{thread}/children"):
                yield child
                yield from _descendants(child)


def _counted(processes: Iterable[str]) -> tuple[float, float]:
    """Sum the seconds in which the threads of processes ran, and in which they waited."""
    ran = waited = 0
    for process in processes:
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208
                fields = _words(f"/proc/{process}/task/{thread}/schedstat")
                if fields:
                    ran, waited = ran + int(fields[0]), waited + int(fields[1])
    return ran * 1e-9, waited * 1e-9


def _of_all() -> tuple[float, float]:
    """Seconds that all processes had on the cores, and that the hypervisor took."""
    _, *fields = _words("/proc/stat", until="\n") or [""]
    user, nice, system, _, _, irq, softirq, stolen = [*map(int, fields[:8]), *[0] * 8][:8]
    return (user + nice + system + irq + softirq) * TICK_SECONDS, stolen * TICK_SECONDS


def _pressure() -> float:
    some = _words("/proc/pressure/cpu", until="\n")
    return int(some[-1].removeprefix("total=")) * 1e-6 if some else 0.0


def _throttled() -> float:
    for file, field, unit in THROTTLED:
        words = _words(str(file))
        if field in words:
            return int(words[words.index(field) + 1]) * unit
    return 0.0


def _words(file: str, *, until: str = "") -> list[str]:
    """Split what a file says up to some character; nothing where there is no such file."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return []
    try:
        text = os.read(descriptor, 1 << 16).decode()
    except OSError:  # the thread has ended
        return []
    finally:
        os.close(descriptor)
    return text.partition(until)[0].split() if until else text.split()
