"""The ledger of a study: a JSON Lines file with a line for each run, from which a study goes on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

from bench.best.trial import Outcome, Setting, Task
from bench.runs import json_lines
from bench.runs.json_lines import JsonLinesError
from mnist_mlp.atomic import WriteError
from mnist_mlp.errors import UserError


class LedgerError(UserError):
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
        try:
            lines = json_lines.read(file)
        except JsonLinesError as error:
            raise LedgerError(f"{file} is no ledger of a study: {error}") from error
        if not lines:
            if file.exists() and file.stat().st_size:
                raise LedgerError(f"{file} holds no whole line: remove it, or name another file")
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
        json_lines.mend(file)

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
            json_lines.append(self._file, line)
        except WriteError as error:
            raise LedgerError(str(error)) from error


def _outcome(fields: Mapping[str, Any]) -> Outcome:
    bounds = {float(target): (low, high) for target, (low, high) in fields["bounds"].items()}
    return Outcome(bounds=bounds, steps=fields["steps"], diverged=fields["diverged"])
