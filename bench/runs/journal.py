"""The journal of a run: a JSON Lines file that keeps each case from the moment it ends.

The first line says what the run is, in pytest-benchmark's words where it has some; each further one
is a case in pytest-benchmark's own form, and how it ended. A case that ran again stands there
twice: the later line counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import json_lines
from bench.json_lines import JsonLinesError
from bench.runs.files import MACHINE

Case = Mapping[str, Any]  # in pytest-benchmark's form
OUTCOME = "outcome"  # the field of a line that is not pytest-benchmark's: "passed" or "failed"
PASSED = "passed"
RUN = ("machine_info", "commit_info", "datetime", "version")  # of a saved run, beside its cases
SETTING = ("options", "code", "versions")  # what decides, with the machine, what a case measures


class JournalError(Exception):
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
    try:
        header, *lines = json_lines.read(file) or [{}]
    except JsonLinesError as error:
        raise JournalError(f"{file} is no journal of a run: {error}") from error
    if not file.exists():
        raise JournalError(f"{file} is no journal of a run: there is no such file")
    lacking = [key for key in (*RUN, *SETTING) if key not in header]
    if lacking or not all({"fullname", "stats", OUTCOME} <= set(line) for line in lines):
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
    found = []
    for part in SETTING:
        ours, theirs = now[part], before[part]
        found += [
            f"{part} {name}: {theirs.get(name)} then, {ours.get(name)} now"
            if part != "code"
            else f"the code of {name}"
            for name in sorted({*ours, *theirs})
            if ours.get(name) != theirs.get(name)
        ]
    machine = (_machine(each["machine_info"]) for each in (before, now))
    then, here = machine
    return found + [
        f"the machine's {name}: {then[name]} then, {here[name]} now"
        for name in then
        if then[name] != here[name]
    ]


def _machine(info: Mapping[str, Any]) -> dict[str, Any]:
    """What decides how fast a machine is: host name and clock frequency do not."""
    return {key: info.get(key) for key in MACHINE} | {"cpu": info.get("cpu", {}).get("brand_raw")}
