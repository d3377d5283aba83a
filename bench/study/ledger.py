"""The ledger of a study: a JSON Lines file with a line for each run, from which a study goes on."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

from bench.study.trial import Outcome, Setting, Task


class LedgerError(Exception):
    """The file is not the ledger of such a study, or cannot be written."""


class Ledger:
    """Runs so far, and the file that each new one is appended to.

    A line that was torn by the end of its process is dropped. Several threads may use a ledger.

    Raises:
        LedgerError: the file holds something else, or another study's runs.

    """

    def __init__(self, file: Path, *, header: Mapping[str, Any], decides: Sequence[str]) -> None:
        self._file, self._lock = file, Lock()
        self._runs: dict[Setting, Outcome] = {}
        self.header = json.loads(json.dumps(dict(header)))
        lines = _lines(file)
        if not lines:
            self._append(self.header)
            return
        for field in decides:
            if lines[0].get(field) != self.header[field]:
                raise LedgerError(
                    f"{file} holds a study with another {field}, {lines[0].get(field)}: name "
                    "another file, or give the options of that study"
                )
        self.header = lines[0]
        try:
            for line in lines[1:]:
                self._runs[Setting(**line["setting"])] = _outcome(line["outcome"])
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerError(f"{file} is no ledger of a study: {error}") from error
        _cut_to_whole_lines(file)

    @property
    def runs(self) -> Mapping[Setting, Outcome]:
        """All runs, those of earlier processes included."""
        return self._runs

    def has(self, task: Task) -> bool:
        """Whether there is a run of the task's setting that went as far as the task asks."""
        found = self._runs.get(task.setting)
        return found is not None and (
            found.diverged or task.targets[-1] in found.bounds or found.steps >= task.most_steps
        )

    def add(self, setting: Setting, outcome: Outcome) -> None:
        """Keep a run, and write it.

        Raises:
            LedgerError: it cannot be written; what was there before stays.

        """
        with self._lock:
            self._append({"setting": asdict(setting), "outcome": asdict(outcome)})
            self._runs[setting] = outcome

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            with self._file.open("a") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LedgerError(f"{self._file} cannot be written: {error.strerror}") from error


def _lines(file: Path) -> list[dict[str, Any]]:
    """Return the file's whole lines; none where there is no file."""
    if not file.exists():
        return []
    try:
        *whole, _ = file.read_text().split("\n")  # what follows the last newline is torn
        lines = [json.loads(line) for line in whole]
    except (OSError, ValueError) as error:
        raise LedgerError(f"{file} is no ledger of a study: {error}") from error
    if not all(isinstance(line, dict) for line in lines):
        raise LedgerError(f"{file} is no ledger of a study: its lines are no objects")
    return lines


def _cut_to_whole_lines(file: Path) -> None:
    """Take a torn line off the end of the file, so that the next one starts on its own."""
    text = file.read_bytes()
    if not text.endswith(b"\n"):
        os.truncate(file, text.rfind(b"\n") + 1)


def _outcome(fields: Mapping[str, Any]) -> Outcome:
    bounds = {float(target): (low, high) for target, (low, high) in fields["bounds"].items()}
    return Outcome(bounds=bounds, steps=fields["steps"], diverged=fields["diverged"])
