"""python -m bench audit: how far the gate can be believed on this machine.

Every finished gate is a line of JSON in the record, from which all rates can be computed again.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import command_line
from bench.gate import revision
from bench.gate.audit import compare_fail, rates, scenarios
from bench.gate.audit.compare_fail import RunError
from bench.gate.audit.planting import PlantError
from bench.gate.audit.rates import RecordError
from bench.gate.audit.scenarios import Scenario
from bench.gate.duet import WorkerError
from bench.gate.result import ExitCode
from bench.gate.revision import RevisionError
from mnist_mlp import arguments

RULES = "pytest-benchmark"
RULES_ASKED = ("identical", "step")  # it times no epoch in the time of a gate
DEFAULT_SCENARIOS = ("identical", "step", "family", RULES)


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    kinds = (*scenarios.known(0.1), RULES)
    parser = commands.add_parser(
        "audit",
        help="how far can the gate be believed on this machine?",
        description="Run real gates on identical code and on planted slowdowns, and print how "
        "often each was called a regression, beside pytest-benchmark's own rules.",
    )
    add = parser.add_argument
    add("--trials", type=arguments.whole_number, default=10, metavar="N", help="of each scenario")
    add(
        "--slowdown",
        type=command_line.percentage,
        default=0.10,
        metavar="SHARE",
        help="to plant (default: 10%%)",
    )
    add(
        "--scenarios",
        type=command_line.several(command_line.one_of("scenario", kinds)),
        default=DEFAULT_SCENARIOS,
        metavar="NAME,...",
        help=f"{', '.join(kinds)} (default: {','.join(DEFAULT_SCENARIOS)})",
    )
    add(
        "--record",
        type=command_line.output_file,
        metavar="FILE",
        help="append a line of JSON a gate",
    )
    add("--read", type=Path, metavar="FILE", help="measure nothing: say what a record says")
    parser.set_defaults(run=command)


def command(options: argparse.Namespace) -> ExitCode:
    """Run the gates, or read a record of some, and print the rates."""
    try:
        if options.read:
            print(rates.as_text(rates.read(options.read)))
        else:
            _audit(options)
    except (PlantError, RecordError, RevisionError, RunError, WorkerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USAGE
    return ExitCode.OK


def _audit(options: argparse.Namespace) -> None:
    tree = revision.root(Path(__file__).parent)
    known, record = scenarios.known(options.slowdown), []
    try:
        for trial in range(options.trials):
            for line in measure(options.scenarios, known, tree):
                record.append(line)
                print(f"trial {trial + 1}: {describe(line)}", file=sys.stderr, flush=True)
                if options.record:
                    with options.record.open("a") as file:
                        file.write(json.dumps(line) + "\n")
    finally:  # Ctrl-C keeps what is there
        print(rates.as_text(record))


def measure(
    chosen: Sequence[str], known: Mapping[str, Sequence[Scenario]], tree: Path
) -> Iterator[dict[str, Any]]:
    """One gate of every chosen scenario: its line in the record."""
    for name in chosen:
        if name == RULES:
            yield from (compare_fail.run(one, tree) for key in RULES_ASKED for one in known[key])
        else:
            yield from (scenarios.run(one, tree) for one in known[name])


def describe(line: Mapping[str, Any]) -> str:
    """A finished gate in a line."""
    words = [line["scenario"], f"{line['took_seconds']:.0f} s"]
    for name, said in line.get("verdicts", {}).items():
        if said != "ok":
            words.append(f"{name} {said} {line['ratios'][name]} {line['reasons'].get(name, '')}")
    return "; ".join(words)
