"""Save a training run to disk: enough to use its network, or to continue the run exactly."""

import io
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnist_mlp import atomic
from mnist_mlp.engines.engine import Engine
from mnist_mlp.errors import UserError

HINT = "name a file that python -m mnist_mlp wrote"

Settings = dict[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after whole epochs."""

    settings: Settings
    network: dict[str, Tensor]  # state_dict
    generator: Tensor  # state of the generator that shuffles
    epoch: int  # epochs completed
    test_loss: float
    best_test_loss: float  # lowest test loss so far
    launch: str = ""  # name of the torchrun that wrote it; its restarts continue from here
    optimizer: dict[str, Any] = field(default_factory=dict)  # state_dict, or empty


@dataclass(kw_only=True)
class Keeper:
    """Keeps a run's latest checkpoint, and the one with the lowest test loss."""

    settings: Settings
    best: Path
    last: Path
    best_test_loss: float = math.inf
    launch: str = ""

    def keep(
        self, engine: Engine, generator: torch.Generator, *, epoch: int, test_loss: float
    ) -> None:
        """Write the state after `epoch` epochs to `last`, and to `best` at the lowest test loss."""
        self.best_test_loss = min(self.best_test_loss, test_loss)
        checkpoint = Checkpoint(
            settings=self.settings,
            network=engine.network.state_dict(),
            generator=generator.get_state(),
            epoch=epoch,
            test_loss=test_loss,
            best_test_loss=self.best_test_loss,
            launch=self.launch,
            optimizer=engine.optimizer.state_dict() if engine.optimizer else {},
        )
        is_best = test_loss == self.best_test_loss
        save(checkpoint, *([self.best] if is_best else []), self.last)


def save(checkpoint: Checkpoint, *paths: Path) -> None:
    """Write a checkpoint to all of the paths, or to none and raise WriteError."""
    content = io.BytesIO()
    torch.save(asdict(checkpoint), content)
    for path in paths:
        atomic.make_folder(path.parent)
    atomic.write(dict.fromkeys(paths, content.getvalue()))


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, tensors and plain values only (`weights_only=True`).

    Raises:
        UserError: there is no such file, or it is not a checkpoint of this package.

    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except Exception as error:  # torch.load raises whatever the damage causes
        raise UserError(f"{path} is damaged or not a checkpoint: {HINT}") from error
    names = {field.name for field in fields(Checkpoint)}
    if not isinstance(state, dict) or set(state) | {"launch", "optimizer"} != names:
        raise UserError(f"{path} is not a checkpoint of a training run: {HINT}")
    return Checkpoint(**state)
