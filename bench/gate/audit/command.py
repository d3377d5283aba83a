"""python -m bench audit: how far the gate can be believed on this machine.

Every finished gate is a line of JSON in the record, from which all rates can be computed again.
"""

import argparse
from pathlib import Path

from bench.gate import command

SLOWDOWNS = (0.0, 0.10)
DESCRIPTION = """Run real gates on identical code and on planted slowdowns, and print how often each
ended in a regression."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add("--trials", type=command.count, default=10, metavar="N", help="of each slowdown")
    planted = "to plant, each by itself; 0 compares identical code (default: 0,10%%)"
    add("--slowdowns", type=_slowdowns, default=SLOWDOWNS, metavar="SHARE,...", help=planted)
    recorded = "append a line of JSON per gate"
    add("--record", type=command.output_file, metavar="FILE", help=recorded)
    add("--read", type=Path, metavar="FILE", help="print the rates of a record; measure nothing")


def _slowdowns(text: str) -> tuple[float, ...]:
    words = [word.strip() for word in text.split(",")]
    shares = tuple(0.0 if word == "0" else command.share(word) for word in words)
    if len(set(shares)) < len(shares):
        raise argparse.ArgumentTypeError(f"{text!r} names a slowdown twice")
    return shares


def run(options: argparse.Namespace) -> int:
    """Run the gates, or read a record of some, and print the rates."""
    from bench.gate.audit import gates  # noqa: PLC0415 - it imports SciPy, which `--help` need not

    return gates.run(options)
