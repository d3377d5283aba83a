"""The record of an audit, one line of JSON per finished gate, and its rates with exact bounds."""

import json
import platform
import statistics
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Column, Table
from rich.text import Text
from scipy import stats

from bench.gate import UsageError, revision
from bench.gate.result import WIDTH, Result, rendered
from bench.gate.verdict import Verdict

CONFIDENCE = 0.95  # of each one-sided bound
FIELDS = frozenset({"scenario", "guilty", "exit_code", "took_seconds", "verdicts"})

Line = Mapping[str, Any]  # one finished gate


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
    """Add a finished gate."""
    try:
        with file.open("a") as record:
            record.write(json.dumps(line) + "\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error


def line_of(result: Result, tree: Path, *, slowdown: float, slowed: Sequence[str]) -> Line:
    """Sum up a finished gate, with the code, the machine and the time."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": revision.describe(tree, "HEAD"),
        "processor": _processor(),
        "scenario": f"{slowdown:.0%} planted" if slowdown else "identical code",
        "slowdown": slowdown,
        "guilty": list(slowed),
        "exit_code": int(result.exit_code),
        "took_seconds": round(result.took_seconds or 0, 1),
        "verdicts": {
            name: str(judgement.verdict)
            for name, judgement in result.judgements.items()
            if judgement.verdict is not Verdict.OK
        },
    }


def _processor() -> str:
    """Return the processor's name, family and model, as far as the system tells."""
    try:
        output = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:  # as on macOS
        output = ""
    fields = dict(line.split(":", 1) for line in output.splitlines() if ":" in line)
    names = ("Model name", "CPU family", "Model")
    return " ".join(fields[name].strip() for name in names if name in fields) or platform.machine()


def at_least(times: int, of: int) -> float:
    """Return the lower exact one-sided 95 % bound of a rate (Clopper and Pearson 1934)."""
    return float(stats.binomtest(times, of, alternative="greater").proportion_ci(CONFIDENCE).low)


def at_most(times: int, of: int) -> float:
    """Return the upper bound."""
    return float(stats.binomtest(times, of, alternative="less").proportion_ci(CONFIDENCE).high)


def flagged(gates: Sequence[Line], slowed: str = "") -> int:
    """How often a slowed case was a regression; without one, how often a gate did not pass."""
    if slowed:
        return sum(gate["verdicts"].get(slowed) == Verdict.REGRESSION for gate in gates)
    return sum(gate["exit_code"] != 0 for gate in gates)


def as_text(record: Sequence[Line]) -> str:
    """Draw the table of rates: a row for each place where something was planted."""
    numbers = ("regression", "95 % bound", "other verdicts", "a gate")
    table = Table("what was compared", *(Column(name, justify="right") for name in numbers))
    by_scenario = defaultdict(list)
    for line in record:
        by_scenario[line["scenario"]].append(line)
    for scenario, gates in by_scenario.items():
        seconds = statistics.median(gate["took_seconds"] for gate in gates)
        for slowed in gates[0]["guilty"] or ("",):
            rate = flagged(gates, slowed), len(gates)
            case = slowed.rpartition("::")[2]
            cells = (
                f"{scenario}, {case}" if case else scenario,
                "{} of {}".format(*rate),
                f"at least {at_least(*rate):.1%}" if case else f"at most {at_most(*rate):.1%}",
                _others(gates),
                f"{seconds:.0f} s",
            )
            table.add_row(*map(Text, cells))  # as text: a name's brackets are no markup
    return rendered(table, WIDTH)


def _others(gates: Sequence[Line]) -> str:
    """Count gates with a verdict that is neither ok nor a regression that was planted."""
    counts = Counter(
        verdict
        for gate in gates
        for verdict in {
            verdict
            for name, verdict in gate["verdicts"].items()
            if not (name in gate["guilty"] and verdict == Verdict.REGRESSION)
        }
    )
    return ", ".join(f"{verdict} {times}" for verdict, times in counts.items()) or "none"
