"""The record of an audit: a file with one line of JSON for each finished gate."""

import platform
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import json_lines
from bench.gate import revision
from bench.gate.pair_tests import Pairs
from bench.gate.result import Result
from bench.json_lines import JsonLinesError

IDENTICAL = "identical code"
COMPARE_FAIL_FIELDS = ("min", "mean")  # what --benchmark-compare-fail can compare
VERSIONS = ("torch", "numba", "pytest", "scipy")
DIGITS = 5  # of a recorded ratio or log ratio

Line = Mapping[str, Any]  # one finished gate


class RecordError(Exception):
    """The file is not a record of an audit."""


def read(file: Path) -> list[Line]:
    """Read the gates of a record.

    Raises:
        RecordError: the file cannot be read, or is not a record.

    """
    try:
        lines: list[Line] = [*json_lines.read(file)]
        by_scenario(lines)
    except (JsonLinesError, KeyError) as error:
        raise RecordError(f"{file} is no record of an audit: {error}") from error
    if not lines:
        lacks = "it holds no gate" if file.exists() else "there is no such file"
        raise RecordError(f"{file} is no record of an audit: {lacks}")
    return lines


def go_on_with(file: Path) -> None:
    """Make sure that gates can be appended to a file: it is none yet, or a record.

    Raises:
        RecordError: it holds something else.

    """
    if file.exists() and file.stat().st_size:
        read(file)
        json_lines.mend(file)


def by_scenario(record: Sequence[Line]) -> dict[str, list[Line]]:
    """Group the gates by the name of their scenario."""
    grouped = defaultdict(list)
    for line in record:
        grouped[line["scenario"]].append(line)
    return grouped


def circumstances(tree: Path) -> dict[str, Any]:
    """What a line says of the code, the machine and the time."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": revision.describe(tree, "HEAD"),
        "processor": _processor(),
        "versions": {name: version(name) for name in VERSIONS if find_spec(name)}
        | {"python": platform.python_version()},
    }


def _processor() -> str:
    """Return the processor's name, family and model, as far as the system tells."""
    try:
        told = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:  # as on macOS
        told = ""
    fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    names = ("Model name", "CPU family", "Model")
    return " ".join(fields[name].strip() for name in names if name in fields) or platform.machine()


def of_result(result: Result) -> dict[str, Any]:
    """What a line says of a finished gate."""
    judgements = result.judgements.items()
    return {
        "setting": dict(result.setting),
        "margin": result.margin,
        "took_seconds": round(result.took_seconds or 0, 1),
        "exit_code": int(result.exit_code),
        "verdicts": {name: str(one.verdict) for name, one in judgements},
        "reasons": {name: one.reason for name, one in judgements if one.reason},
        # Ratio, the ends of its interval, and the slowdown that would have been caught.
        "estimates": {
            name: [
                round(value, DIGITS)
                for value in (found.ratio, found.low, found.high, found.detectable)
                if value is not None
            ]
            for name, found in ((name, one.estimate) for name, one in judgements)
            if found.ratio is not None
        },
        "screen": _log_ratios(result.evidence.screen),
        "confirm": _log_ratios(result.evidence.confirm),
    }


def _log_ratios(pairs: Pairs) -> dict[str, list[list[float]]]:
    return {
        name: [[round(pair.head, DIGITS), round(pair.control, DIGITS)] for pair in seen]
        for name, seen in pairs.items()
    }
