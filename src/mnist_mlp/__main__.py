"""python -m mnist_mlp: train, and print what the question's author printed."""

import signal
import sys

INTERRUPTED = 130


def main() -> int:
    """Run the command line; return the exit code."""
    try:
        from mnist_mlp import command  # noqa: PLC0415 - torch takes seconds, and Ctrl-C may come

        return command.main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    # Temporary files are removed, too, when a job is cancelled or a terminal is closed.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
