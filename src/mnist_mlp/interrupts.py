"""Ends a command on Ctrl-C, SIGTERM or SIGHUP: it cleans up, and prints one line."""

import signal
import sys
from collections.abc import Callable

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(main: Callable[[], int]) -> int:
    """Run a command, and return its exit code, even if one of the signals interrupts it.

    Args:
        main: the command. It makes its slow imports itself, so that an interrupt during an import
            is handled too.

    """
    for number in SIGNALS[1:]:
        signal.signal(number, signal.default_int_handler)
    try:
        code = main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    for number in SIGNALS:  # nothing is left to clean up: a signal may end the process
        signal.signal(number, signal.SIG_DFL)
    return code
