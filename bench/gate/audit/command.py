"""python -m bench audit: how far the gate can be believed on this machine.

Every finished gate is a line of JSON in the record, from which all rates can be computed again.
"""

import argparse
import sys
from pathlib import Path

from bench import option_types
from bench.gate import IncomparableError, UsageError, revision
from bench.gate.audit import rates, record, scenarios
from bench.gate.result import ExitCode
from bench.runs import json_lines
from mnist_mlp.atomic import WriteError

SLOWDOWNS = (0.10,)
SCENARIOS = ("identical", "planted")
DESCRIPTION = """Run real gates on identical code and on planted slowdowns, and print how often each
ended in a regression."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add("--trials", type=option_types.count, default=10, metavar="N", help="of each scenario")
    add(
        "--slowdowns",
        type=option_types.several(option_types.percentage),
        default=SLOWDOWNS,
        metavar="SHARE,...",
        help="to plant, each by itself (default: 10%%)",
    )
    add(
        "--scenarios",
        type=option_types.several(option_types.one_of("scenario", SCENARIOS)),
        default=SCENARIOS,
        metavar="NAME,...",
        help=f"{' or '.join(SCENARIOS)} (default: both)",
    )
    recorded = "append a line of JSON per gate"
    add("--record", type=option_types.output_file, metavar="FILE", help=recorded)
    add("--read", type=Path, metavar="FILE", help="print the rates of a record; measure nothing")


def run(options: argparse.Namespace) -> ExitCode:
    """Run the gates, or read a record of some, and print the rates."""
    try:
        if options.read:
            print(rates.as_text(record.read(options.read)))
        else:
            _audit(options)
    except (IncomparableError, UsageError, WriteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USAGE
    return ExitCode.OK


def _audit(options: argparse.Namespace) -> None:
    tree = revision.root(Path.cwd())
    planted: dict[str, tuple[float, ...]] = {"identical": (0.0,), "planted": options.slowdowns}
    gates: list[record.Line] = []
    if options.record:
        record.go_on_with(options.record)
    try:
        for trial in range(options.trials):
            for slowdown in [share for name in options.scenarios for share in planted[name]]:
                line = scenarios.run(slowdown, tree)
                gates.append(line)
                print(f"trial {trial + 1}: {_describe(line)}", file=sys.stderr, flush=True)
                if options.record:
                    json_lines.append(options.record, line)
    finally:  # Ctrl-C keeps what is there
        print(rates.as_text(gates))


def _describe(line: record.Line) -> str:
    verdicts = [f"{name} {verdict}" for name, verdict in line["verdicts"].items()]
    return "; ".join([line["scenario"], f"{line['took_seconds']:.0f} s", *verdicts])
