"""The journal of a run: a JSON Lines file that keeps each case from the moment it ends.

The first line describes the run, with pytest-benchmark's keys where it has them. Each further line
is a case in pytest-benchmark's form, with its outcome. A case that ran again has two lines: the
later line counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.runs import json_lines
from bench.runs.files import machine_of
from mnist_mlp.errors import UserError

Case = Mapping[str, Any]  # pytest-benchmark's form of a case
OUTCOME = "outcome"  # a line's field that pytest-benchmark does not know: "passed" or "failed"
PASSED = "passed"
RUN = ("machine_info", "commit_info", "datetime", "version")  # keys of a saved run but its cases
SETTING = ("options", "code", "versions")  # these and the machine decide the times


@dataclass(frozen=True, kw_only=True)
class Journal:
    """The content of a journal."""

    header: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]  # cases with outcomes, in the order of their first runs
    is_torn: bool  # the last line is incomplete, and is left out

    def cases(self, *, passed_only: bool = False) -> list[Case]:
        """Return the cases as pytest-benchmark saves them."""
        return [
            {key: value for key, value in line.items() if key != OUTCOME}
            for line in self.lines
            if line[OUTCOME] == PASSED or not passed_only
        ]


def read(file: Path) -> Journal:
    """Read a journal."""
    if not file.exists():
        raise UserError(f"{file} is not a journal of a run: there is no such file")
    try:
        header, *lines = json_lines.read(file) or [{}]
    except UserError as error:
        raise UserError(f"{file} is not a journal of a run: {error}") from error
    is_header = set(RUN) <= set(header) and all(
        isinstance(header.get(key), dict) for key in ("machine_info", *SETTING)
    )
    if not is_header or not all({"fullname", "stats", OUTCOME} <= set(line) for line in lines):
        raise UserError(
            f"{file} is not a journal of a run: name a file that `pytest --benchmark-only` kept in "
            ".benchmarks/journals/, or that --journal named"
        )
    if not lines:
        raise UserError(f"{file} holds no finished case: start a new run")
    newest = {line["fullname"]: line for line in lines}
    return Journal(header=header, lines=tuple(newest.values()), is_torn=json_lines.is_torn(file))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name everything that decides a measurement and differs between two headers."""
    parts = [
        ("options ", before["options"], now["options"]),
        ("versions ", before["versions"], now["versions"]),
        ("the machine's ", machine_of(before["machine_info"]), machine_of(now["machine_info"])),
    ]
    return [
        *(f"the code of {name}" for name in _unlike(before["code"], now["code"])),
        *(
            f"{kind}{name}: {then.get(name)} then, {here.get(name)} now"
            for kind, then, here in parts
            for name in _unlike(then, here)
        ),
    ]


def _unlike(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
