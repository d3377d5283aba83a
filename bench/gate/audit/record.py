"""The record of an audit: a file with one line of JSON for each finished gate."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.gate import UsageError, revision
from bench.gate.result import Result
from bench.gate.verdict import Verdict
from bench.runs import json_lines
from bench.runs.json_lines import JsonLinesError

FIELDS = frozenset({"scenario", "guilty", "exit_code", "took_seconds", "verdicts"})

Line = Mapping[str, Any]  # one finished gate


def read(file: Path) -> list[Line]:
    """Read the gates of a record.

    Raises:
        UsageError: the file cannot be read, or is not a record.

    """
    try:
        lines: list[Line] = [*json_lines.read(file)]
    except JsonLinesError as error:
        raise UsageError(f"{file} is no record of an audit: {error}") from error
    if not lines:
        lacks = "it holds no gate" if file.exists() else "there is no such file"
        raise UsageError(f"{file} is no record of an audit: {lacks}")
    for line in lines:
        if lacking := sorted(FIELDS - line.keys()):
            raise UsageError(f"{file} is no record of an audit: a line lacks {lacking[0]!r}")
    return lines


def go_on_with(file: Path) -> None:
    """Make sure that gates can be appended to a file: it does not exist yet, or is a record."""
    if file.exists() and file.stat().st_size:
        read(file)
        json_lines.mend(file)


def line_of(
    result: Result, tree: Path, *, slowdown: float, slowed: Sequence[str]
) -> dict[str, Any]:
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
