"""python -m bench: find the best batch size, report on saved runs, gate a change."""

import argparse
import signal
import sys
from collections.abc import Sequence

from bench.answer import noise_command, report_command
from bench.gate import command as gate
from bench.gate.audit import command as audit
from bench.gate.result import ExitCode
from bench.search import command as search_command


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    search_command.add_to(commands)
    report_command.add_to(commands)
    noise_command.add_to(commands)
    gate.add_to(commands)
    audit.add_to(commands)
    options = parser.parse_args(words)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED


if __name__ == "__main__":
    # Temporary files are removed, too, when CI cancels a job.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
