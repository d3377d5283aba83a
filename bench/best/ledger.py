"""The ledger of a study: a JSON Lines file with a line per training, from which a study goes on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

from bench.best.trial import Outcome, Trial
from bench.runs import json_lines
from mnist_mlp.errors import UserError


class Ledger:
    """Trainings so far, and the file that each new one is appended to.

    The file is locked until the ledger is closed. A line that was torn by the end of its process is
    dropped. Several threads may use a ledger.

    Raises:
        UserError: the file holds something else or the trainings of another study, another process
            writes it, or it cannot be written.

    """

    def __init__(self, file: Path, *, header: Mapping[str, Any], decides: Sequence[str]) -> None:
        self.outcomes: dict[Trial, Outcome] = {}  # those of earlier processes included
        self.header: Mapping[str, Any] = json.loads(json.dumps(dict(header)))
        lines = json_lines.read(file)
        if lines:
            self._take(file, lines, decides)
        elif file.exists() and file.stat().st_size:
            raise UserError(f"{file} holds no whole line: remove it, or name another file")
        self._lock, self._writer = Lock(), json_lines.Writer(file)
        if not lines:
            self._writer.append(self.header)

    def _take(self, file: Path, lines: Sequence[Mapping[str, Any]], decides: Sequence[str]) -> None:
        for field in decides:
            if lines[0].get(field) != self.header[field]:
                raise UserError(
                    f"{file} holds a study with another {field}, {lines[0].get(field)}: name "
                    "another file, or give the options of that study"
                )
        self.header = lines[0]
        try:
            for line in lines[1:]:
                bounds = {float(key): tuple(of) for key, of in line["outcome"]["bounds"].items()}
                outcome = Outcome(**{**line["outcome"], "bounds": bounds})
                self.outcomes[Trial(**line["trial"])] = outcome
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{file} is no ledger of a study: {error!r}") from error

    def has(self, trial: Trial, *, last_target: float, most_steps: int) -> bool:
        """Whether a training went as far as is asked: a cap may have ended it sooner."""
        outcome = self.outcomes.get(trial)
        return outcome is not None and (
            outcome.diverged or last_target in outcome.bounds or outcome.steps >= most_steps
        )

    def add(self, trial: Trial, outcome: Outcome) -> None:
        """Keep a training, and write it; where that fails, what was there before stays."""
        with self._lock:
            self._writer.append({"trial": asdict(trial), "outcome": asdict(outcome)})
            self.outcomes[trial] = outcome

    def close(self) -> None:
        """Let other processes write the file."""
        self._writer.close()
