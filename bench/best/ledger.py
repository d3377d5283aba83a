"""The ledger: a JSON Lines file with a line per training, from which a search goes on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.best.trial import Outcome, Trial
from bench.runs import json_lines
from mnist_mlp.data import Split
from mnist_mlp.errors import UserError
from mnist_mlp.task import Task

HASHED_SAMPLES = 1_000  # number per split, evenly spaced


class Ledger:
    """Trainings so far, and the file to which each new training is appended.

    The file is locked until the ledger is closed. An incomplete last line, which a killed process
    leaves, is dropped.

    Raises:
        UserError: the file holds something else or the trainings of another task, another process
            writes it, or it cannot be written.

    """

    def __init__(self, file: Path, header: Mapping[str, Any]) -> None:
        self.file = file
        self.outcomes: dict[Trial, Outcome] = {}  # earlier processes included
        lines = json_lines.read(file)
        if lines:
            self._take(lines, json.loads(json.dumps(dict(header))))
        elif file.exists() and file.stat().st_size:
            raise UserError(f"{file} has no complete line: remove it, or name another with --runs")
        self._writer = json_lines.Writer(file)
        if not lines:
            self._writer.append(header)

    def _take(self, lines: list[dict[str, Any]], header: Mapping[str, Any]) -> None:
        for field, value in header.items():
            if lines[0].get(field) != value:
                raise UserError(
                    f"{self.file} holds trainings with another {field}, {lines[0].get(field)}, "
                    f"not {value}: remove it, or name another file with --runs"
                )
        try:
            for line in lines[1:]:
                self.outcomes[Trial(**line["trial"])] = Outcome(**line["outcome"])
        except (KeyError, TypeError) as error:
            raise UserError(f"{self.file} holds no trainings of a search: {error!r}") from error

    def add(self, trial: Trial, outcome: Outcome) -> None:
        """Write a training to the file; if that fails, the earlier trainings are intact."""
        self._writer.append({"trial": asdict(trial), "outcome": asdict(outcome)})
        self.outcomes[trial] = outcome

    def close(self) -> None:
        """Let other processes write the file."""
        self._writer.close()


def header_of(task: Task, *, max_epochs: int) -> dict[str, Any]:
    """Return what decides how many steps the trainings of a task take."""
    network = task.new_network(0)
    state = b"".join(each.cpu().numpy().tobytes() for each in network.state_dict().values())
    inputs, targets = next(task.train.head(8).batches(8))
    with torch.no_grad():
        loss = float(task.loss(network.eval()(inputs), targets))
    return {
        "task": task.name,
        "target": task.target,
        "data": f"{_hash_of(task.train)} {_hash_of(task.test)}",
        "network": hashlib.sha256(repr(network).encode() + state).hexdigest()[:16],
        "loss": f"{loss:.4g} at first",
        "optimizer": " ".join(str(task.optimizer(network.parameters(), 1.0)).split()),
        "max_epochs": max_epochs,
    }


def _hash_of(split: Split) -> str:
    if split.obstacle:
        return f"{len(split)} samples"
    places = torch.arange(0, len(split), max(1, len(split) // HASHED_SAMPLES))
    parts = [each[places.to(each.device)].cpu().numpy() for each in (split.inputs, split.targets)]
    content = b"".join(part.tobytes() for part in parts) + repr(parts[0].dtype).encode()
    return f"{len(split)} samples {hashlib.sha256(content).hexdigest()[:16]}"
