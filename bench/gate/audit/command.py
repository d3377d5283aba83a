"""python -m bench audit: how far the gate can be believed on this machine.

Every finished gate is a line of JSON in the record, from which all rates can be computed again.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import json_lines, option_types, picture
from bench.gate import revision
from bench.gate.audit import compare_fail, power, rates, record, scenarios
from bench.gate.audit.compare_fail import PytestBenchmarkError
from bench.gate.audit.planting import PlantError
from bench.gate.audit.record import RecordError
from bench.gate.audit.scenarios import Scenario
from bench.gate.command import UsageError
from bench.gate.company import WorkerError
from bench.gate.result import ExitCode
from bench.gate.revision import RevisionError
from mnist_mlp import atomic
from mnist_mlp.atomic import WriteError

PYTEST_BENCHMARK = "pytest-benchmark"
COMPARE_FAIL_SCENARIOS = 2  # identical code, and the first planted slowdown
SLOWDOWNS = (0.10,)
OBSTACLES = (
    *(PlantError, RecordError, RevisionError, UsageError),
    *(PytestBenchmarkError, WorkerError, WriteError),
)
DESCRIPTION = """Run real gates on identical code and on planted slowdowns, and print how often each
was called a regression, beside pytest-benchmark's own rules."""
DEFAULT_SCENARIOS = ("identical", "planted", PYTEST_BENCHMARK)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    kinds = (*scenarios.known(SLOWDOWNS), PYTEST_BENCHMARK)
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
        type=option_types.several(option_types.one_of("scenario", kinds)),
        default=DEFAULT_SCENARIOS,
        metavar="NAME,...",
        help=f"{', '.join(kinds)} (default: {','.join(DEFAULT_SCENARIOS)})",
    )
    add(
        "--record",
        type=option_types.output_file,
        metavar="FILE",
        help="append a line of JSON a gate",
    )
    add("--read", type=Path, metavar="FILE", help="print the rates of a record; measure nothing")
    figure = "draw the power curve of the record to read"
    add("--figure", type=option_types.figure_file, metavar="FILE.png", help=figure)


def run(options: argparse.Namespace) -> ExitCode:
    """Run the gates, or read a record of some, and print the rates."""
    try:
        if options.figure and not options.read:
            raise UsageError("--figure draws a record: name it with --read")
        if options.read:
            gates = record.read(options.read)
            print(rates.as_text(gates))
            if options.figure:
                drawn = picture.drawn(power.chart(gates), options.figure.suffix)
                atomic.write({options.figure: drawn})
        else:
            _audit(options)
    except OBSTACLES as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USAGE
    return ExitCode.OK


def _audit(options: argparse.Namespace) -> None:
    tree = revision.root(Path.cwd())
    known, gates = scenarios.known(options.slowdowns), []
    if options.record:
        record.go_on_with(options.record)
    try:
        for trial in range(options.trials):
            for line in measure(options.scenarios, known, tree):
                gates.append(line)
                print(f"trial {trial + 1}: {describe(line)}", file=sys.stderr, flush=True)
                if options.record:
                    json_lines.append(options.record, line)
    finally:  # Ctrl-C keeps what is there
        print(rates.as_text(gates))


def measure(
    chosen: Sequence[str], known: Mapping[str, Sequence[Scenario]], tree: Path
) -> Iterator[dict[str, Any]]:
    """One gate of every chosen scenario: its line in the record."""
    both = [*known["identical"], *known["planted"]][:COMPARE_FAIL_SCENARIOS]
    for name in chosen:
        is_gate = name != PYTEST_BENCHMARK
        run = scenarios.run if is_gate else compare_fail.run
        for scenario in known[name] if is_gate else both:
            yield {
                "guilty": scenario.guilty,
                "slowdown": scenario.slowdown,
                **record.circumstances(tree),
                **run(scenario, tree),
            }


def describe(line: Mapping[str, Any]) -> str:
    """A finished gate in a line."""
    words = [line["scenario"], f"{line['took_seconds']:.0f} s"]
    for name, verdict in line.get("verdicts", {}).items():
        if verdict != "ok":
            ratio = line["estimates"].get(name, ["-"])[0]
            words.append(f"{name} {verdict} {ratio} {line['reasons'].get(name, '')}")
    return "; ".join(words)
