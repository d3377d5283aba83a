"""python -m pytest_duet.audit: how often the gate is wrong, on this suite and machine.

Each trial is a real gate on identical code, or on code with some slowed cases: after each turn of
such a case, the head waits in a busy loop for a share of the turn's time. Every finished gate is a
line of JSON in the record, from which all rates can be computed again.
"""

import argparse
import json
import random
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Column, Table
from rich.text import Text
from scipy import stats

from pytest_duet import ExitCode, IncomparableError, UsageError, command, comparison, result, trees
from pytest_duet.option_types import count, output_file, share
from pytest_duet.pair_tests import CONFIDENCE
from pytest_duet.result import WIDTH, Result, rendered
from pytest_duet.trees import Version
from pytest_duet.verdict import Verdict

MOST_SLOWED = 3  # slowed cases per gate
FIELDS = frozenset({"scenario", "slowed", "exit_code", "took_seconds", "verdicts"})

Line = Mapping[str, Any]  # one finished gate


def new_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m pytest_duet.audit", description=__doc__)
    add = parser.add_argument
    add("--trials", type=count, default=10, metavar="N", help="gates per slowdown (default: 10)")
    slowdowns = "one per gate; 0 compares identical code (default: 0,10%%)"
    add("--slowdowns", type=_slowdowns, default=(0.0, 0.1), metavar="SHARE,...", help=slowdowns)
    add("--record", type=output_file, metavar="FILE", help="append a line of JSON per gate")
    add("--read", type=Path, metavar="FILE", help="print the rates of a record without measuring")
    add("arguments", nargs="*", metavar="PYTEST_ARGUMENTS", help="after --: paths, -k, options")
    return parser


def _slowdowns(text: str) -> tuple[float, ...]:
    words = [word.strip() for word in text.split(",")]
    shares = tuple(0.0 if word == "0" else share(word) for word in words)
    if len(set(shares)) < len(shares):
        raise argparse.ArgumentTypeError(f"{text!r} names a slowdown twice")
    return shares


def main(words: Sequence[str]) -> int:
    """Run gates, or read a record of gates, and print the rates."""
    options = new_parser().parse_args(words)
    try:
        if options.read:
            result.show(as_text(read(options.read)))
        else:
            _audit(options)
    except (IncomparableError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USAGE
    return ExitCode.OK


def _audit(options: argparse.Namespace) -> None:
    tree = trees.root(Path.cwd())
    if trees.changed_files(tree):
        raise UsageError("the working tree differs from its last commit: commit the changes")
    settings = command.parse(["--", *options.arguments])
    gates: list[Line] = []
    cases: list[str] = []  # measured cases, from which the slowed ones are drawn
    if options.record and options.record.exists() and options.record.stat().st_size:
        read(options.record)  # refuses a file that is no record
    try:
        for trial in range(options.trials):
            for slowdown in options.slowdowns:
                if slowdown and not cases:
                    cases = sorted(_gate(tree, settings, {}).evidence.seconds)
                chosen = random.Random(trial).sample(cases, min(MOST_SLOWED, len(cases)))
                slowed = dict.fromkeys(chosen, slowdown) if slowdown else {}
                finished = _gate(tree, settings, slowed)
                cases = cases or sorted(finished.evidence.seconds)
                line = line_of(finished, tree, slowed)
                gates.append(line)
                print(f"{line['scenario']}, trial {trial + 1}: {line['verdicts']}", file=sys.stderr)
                if options.record:
                    append(options.record, line)
    finally:  # Ctrl-C still prints the finished gates
        result.show(as_text(gates))


def _gate(tree: Path, settings: argparse.Namespace, slowed: Mapping[str, float]) -> Result:
    """Compare the working tree with its last commit, which is identical but for slowed cases."""
    with trees.worktree(tree, "HEAD") as base:
        return comparison.compare(
            Version(name="base", tree=base, python=sys.executable),
            Version(name="head", tree=tree, python=sys.executable),
            settings.arguments,
            comparison.measuring_options(settings),
            tell=lambda _: None,
            slowed=slowed,
        )


def read(file: Path) -> list[Line]:
    """Read the gates of a record."""
    try:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no record of an audit: {error}") from error
    if not lines:
        raise UsageError(f"{file} is no record of an audit: it holds no gate")
    for line in lines:
        if not isinstance(line, dict) or not line.keys() >= FIELDS:
            needed = ", ".join(sorted(FIELDS))
            raise UsageError(f"{file} is no record of an audit: a line lacks one of {needed}")
    return lines


def append(file: Path, line: Line) -> None:
    """Add a finished gate to a record."""
    try:
        with file.open("a") as record:
            record.write(json.dumps(line) + "\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error


def line_of(finished: Result, tree: Path, slowed: Mapping[str, float]) -> Line:
    """Sum up a finished gate in a line of the record."""
    slowdown = max(slowed.values(), default=0.0)
    judgements = finished.judgements
    estimates = {name: judgement.estimate for name, judgement in judgements.items()}
    verdicts = {name: judgement.verdict for name, judgement in judgements.items()}
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": trees.describe(tree, "HEAD"),
        "scenario": f"{slowdown:.0%} slower" if slowdown else "identical code",
        "slowed": list(slowed),
        "exit_code": int(finished.exit_code),
        "took_seconds": round(finished.took_seconds, 1),
        "cases": len(finished.evidence.seconds),
        "verdicts": {name: str(each) for name, each in verdicts.items() if each is not Verdict.OK},
        # The ratio of each case and family, and its 95 % interval.
        "estimates": {
            name: [round(number, 4) for number in (each.ratio, each.low, each.high) if number]
            for name, each in estimates.items()
            if each.high is not None
        },
    }


def interval(successes: int, trials: int) -> str:
    """Write the exact 95 % interval of a rate (Clopper and Pearson 1934)."""
    low, high = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE)
    return f"{low:.0%} to {high:.0%}"


def failed(gates: Sequence[Line]) -> int:
    """Count the gates that did not pass."""
    return sum(gate["exit_code"] != 0 for gate in gates)


def caught(gate: Line) -> int:
    """Count the slowed cases that the gate judged a regression."""
    return sum(gate["verdicts"].get(name) == Verdict.REGRESSION for name in gate["slowed"])


def coverage(gates: Sequence[Line]) -> str:
    """Write how many 95 % intervals of identical code contain a ratio of 1."""
    held = [
        low <= 1 <= high
        for gate in gates
        for name, (_, low, high) in gate.get("estimates", {}).items()
        if not gate["slowed"]
    ]
    return f"{sum(held):,} of {len(held):,}" if held else "-"


def as_text(record: Sequence[Line]) -> str:
    """Draw the table of rates: a row per slowdown."""
    numbers = "gates that fail", "95 % interval", "cases found", "intervals hold", "other", "time"
    table = Table("what was compared", *(Column(name, justify="right") for name in numbers))
    by_scenario = defaultdict(list)
    for line in record:
        by_scenario[line["scenario"]].append(line)
    for scenario, gates in by_scenario.items():
        slowed = sum(len(gate["slowed"]) for gate in gates)
        detected = sum(map(caught, gates))
        cells = (
            scenario,
            f"{failed(gates)} of {len(gates)}",
            interval(failed(gates), len(gates)),
            f"{detected} of {slowed}" if slowed else "-",
            coverage(gates),
            _others(gates),
            f"{statistics.median(gate['took_seconds'] for gate in gates):.0f} s",
        )
        table.add_row(*map(Text, cells))  # Text: brackets are not markup
    return rendered(table, WIDTH)


def _others(gates: Sequence[Line]) -> str:
    """Count the verdicts, other than ok, on cases and families that were not slowed."""
    counts = Counter(
        verdict
        for gate in gates
        for name, verdict in gate["verdicts"].items()
        if not any(_concerns(name, slowed) for slowed in gate["slowed"])
    )
    return ", ".join(f"{verdict} {times}" for verdict, times in counts.items()) or "none"


def _concerns(name: str, slowed: str) -> bool:
    """Whether a case or family is the slowed case or its family."""
    return name == slowed or name.partition(",")[0] == slowed.partition("[")[0]


if __name__ == "__main__":
    sys.exit(command.interruptible(main))
