"""Is this change slower? Two versions take turns on one core, and each case gets a verdict."""

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What a command ends with."""

    OK = 0
    REGRESSION = 1
    USAGE = 2  # argparse's own, for a command line that makes no sense
    INCONCLUSIVE = 3
    INCOMPARABLE = 4
    NOT_JUDGED = 5
    INTERNAL_ERROR = 70  # as in sysexits.h
    INTERRUPTED = 130


class UsageError(Exception):
    """The command cannot be carried out: the message says what is wrong and what to do."""


class IncomparableError(Exception):
    """Versions whose times cannot be compared."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a gate measures and judges."""

    margin: float = 0.05  # a slowdown up to this passes
    threads: int = 1  # of each version, on as many cores
    seconds_per_case: float = 1.0  # the most that a version's turns at a case take in a pair
    fresh: str = "fork"  # or "exec": start each process from its beginning
    minutes: float | None = None  # cases that do not fit in are not judged
    allow_learning_change: bool = False
