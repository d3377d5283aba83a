"""Commands that Ctrl-C, SIGTERM or SIGHUP ends: they clean up, and say so in one line."""

import signal
import sys
from collections.abc import Callable

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(main: Callable[[], int]) -> int:
    """Run a command, and return its exit code, whichever of the signals may come meanwhile.

    Args:
        main: the command. It imports what takes long by itself, so that an interrupt meanwhile is
            answered, too.

    """
    for number in SIGNALS[1:]:
        signal.signal(number, signal.default_int_handler)
    try:
        code = main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    for number in SIGNALS:  # nothing is left to clean up: from now on they just end the process
        signal.signal(number, signal.SIG_DFL)
    return code
