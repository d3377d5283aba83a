"""The record of an audit: a file with one line of JSON for each finished gate."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

IDENTICAL = "identical code"  # the scenario whose pairs are resampled
COMPARE_FAIL_FIELDS = ("min", "mean")  # what --benchmark-compare-fail can compare
DIGITS = 6  # of a recorded ratio or log ratio

Line = Mapping[str, Any]  # one finished gate


class RecordError(Exception):
    """The file is not a record of an audit."""


def read(file: Path) -> list[Line]:
    """Read the gates of a record.

    Raises:
        RecordError: the file cannot be read, or is not a record.

    """
    try:
        lines: list[Line] = [json.loads(line) for line in file.read_text().splitlines()]
        by_scenario(lines)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{file} is no record of an audit: {error}") from error
    return lines


def by_scenario(record: Sequence[Line]) -> dict[str, list[Line]]:
    """Group the gates by the name of their scenario."""
    grouped = defaultdict(list)
    for line in record:
        grouped[line["scenario"]].append(line)
    return grouped


def is_slip(gate: Line) -> bool:
    """Whether the planted change had no set size, so that any case may show it."""
    return bool(gate["planted"] and not gate["guilty"])
