"""The journal of a run: a JSON Lines file that keeps each case from the moment it ends.

The first line says what the run is, in pytest-benchmark's words where it has some; each further one
is a case in pytest-benchmark's own form, and how it ended. A case that ran again stands there
twice: the later line counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.runs import json_lines
from bench.runs.files import machine_of
from bench.runs.json_lines import JsonLinesError
from mnist_mlp.errors import UserError

Case = Mapping[str, Any]  # in pytest-benchmark's form
OUTCOME = "outcome"  # the field of a line that is not pytest-benchmark's: "passed" or "failed"
PASSED = "passed"
RUN = ("machine_info", "commit_info", "datetime", "version")  # of a saved run, beside its cases
SETTING = ("options", "code", "versions")  # what decides, with the machine, what a case measures


class JournalError(UserError):
    """A file that is no journal, or not one of such a run; the message names what differs."""


@dataclass(frozen=True, kw_only=True)
class Journal:
    """What a journal holds."""

    header: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]  # cases with their outcomes, in the order of their first
    is_torn: bool  # the last line was never finished, and is left out

    def cases(self, *, passed_only: bool = False) -> list[Case]:
        """Return the cases as pytest-benchmark saves them."""
        return [
            {key: value for key, value in line.items() if key != OUTCOME}
            for line in self.lines
            if line[OUTCOME] == PASSED or not passed_only
        ]

    def run(self) -> dict[str, Any]:
        """Return the run that pytest-benchmark would have saved of these cases."""
        return {key: self.header[key] for key in RUN} | {"benchmarks": self.cases()}


def read(file: Path) -> Journal:
    """Read a journal.

    Raises:
        JournalError: there is no such file, or it is no journal.

    """
    if not file.exists():
        raise JournalError(f"{file} is no journal of a run: there is no such file")
    try:
        header, *lines = json_lines.read(file) or [{}]
    except JsonLinesError as error:
        raise JournalError(f"{file} is no journal of a run: {error}") from error
    is_header = set(RUN) <= set(header) and all(
        isinstance(header.get(key), dict) for key in ("machine_info", *SETTING)
    )
    if not is_header or not all({"fullname", "stats", OUTCOME} <= set(line) for line in lines):
        raise JournalError(
            f"{file} is no journal of a run: name a file that `pytest --benchmark-only` kept in "
            ".benchmarks/journals/, or that --journal named"
        )
    if not lines:
        raise JournalError(f"{file} holds no case that ended")
    newest = {line["fullname"]: line for line in lines}
    return Journal(header=header, lines=tuple(newest.values()), is_torn=json_lines.is_torn(file))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what decides a measurement and is not the same in two headers."""
    then, here = (machine_of(each["machine_info"]) for each in (before, now))
    return [
        *_changes("options ", before["options"], now["options"]),
        *(f"the code of {name}" for name in _unlike(before["code"], now["code"])),
        *_changes("versions ", before["versions"], now["versions"]),
        *_changes("the machine's ", then, here),
    ]


def _changes(what: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [
        f"{what}{name}: {then.get(name)} then, {now.get(name)} now" for name in _unlike(then, now)
    ]


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
