"""Is this change slower? Two versions take turns on one core, and each case gets a verdict."""

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    REGRESSION = 1
    USAGE = 2  # argparse's exit code for an invalid command line
    INCONCLUSIVE = 3
    INCOMPARABLE = 4
    NOT_JUDGED = 5
    INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130


class UsageError(Exception):
    """The command cannot be carried out: the message says what is wrong and what to do."""


class IncomparableError(Exception):
    """The versions cannot be compared: the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a gate measures and judges."""

    margin: float = 0.05  # slowdown that passes
    threads: int = 1  # threads per version, on as many cores
    seconds_per_case: float = 1.0  # limit of a version's turns at a case in one pair
    fresh: str = "fork"  # "exec": start each process from its beginning
    minutes: float | None = None  # time limit; the cases it cuts off are not judged
    allow_learning_change: bool = False
