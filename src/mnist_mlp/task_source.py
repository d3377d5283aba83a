"""Where a task comes from: a file or module of the user's, or a data set for the question's."""

import importlib
import math
import sys
import traceback
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mnist_mlp import datasets
from mnist_mlp.errors import UserError
from mnist_mlp.task import Task

FIRST_SAMPLES = 8  # that a task is tried with before anything is measured
TEST_SAMPLES = 256
DEFAULT_NAME = "task"  # of what a file defines


@dataclass(frozen=True, kw_only=True)
class Source:
    """What loads the same task in this process and in others."""

    task: str | None = None  # FILE.py, FILE.py:NAME or MODULE:NAME; None: the question's
    data_root: Path | None = None  # of the question's task, as in `datasets.load`
    cache_dir: Path | None = None
    device: str = "cpu"

    @classmethod
    def of(cls, options: Namespace) -> "Source":
        """Return what options, which have names like these fields, ask for."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(cls)})

    def load(self) -> Task:
        """Load the task, with its samples on the device.

        Raises:
            UserError: there is no such task, or it cannot be trained; the message names the line of
                the user's file where there is one.

        """
        if self.task is None:
            return datasets.load(
                data_root=self.data_root, cache_dir=self.cache_dir, device=self.device
            )
        if self.data_root:
            raise UserError("a task brings its own data: leave out --data-root, or --task")
        with torch.random.fork_rng(devices=[]):  # the user's file may draw or seed
            with _named(self.task, "cannot be loaded"):
                task = _find(self.task)
            train, test = task.train.to(self.device), task.test.to(self.device)
            task = replace(task, train=train, test=test)
            _try(task, self.task)
        return task


def _find(name: str) -> Task:
    place, _, attribute = name.rpartition(":")
    if not place:
        place, attribute = name, DEFAULT_NAME
    module = _of_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    if not hasattr(module, attribute):
        raise UserError(f"--task={name}: {place} defines no {attribute!r}: define a Task")
    found = getattr(module, attribute)
    task = found() if callable(found) else found
    if not isinstance(task, Task):
        raise UserError(
            f"--task={name}: {attribute} is of type {type(task).__name__}: make it a Task, or a "
            "function that returns one"
        )
    return task


def _of_file(file: Path) -> ModuleType:
    module = ModuleType(file.stem)
    module.__file__ = str(file)
    sys.path.append(str(file.resolve().parent))  # the file may import its neighbours
    sys.modules[file.stem] = module
    exec(compile(file.read_bytes(), file, "exec"), vars(module))  # noqa: S102 - the user's own
    return module


@contextmanager
def _named(name: str, what: str) -> Iterator[None]:
    """Turn whatever the user's code raises into a sentence with the line of the user's file."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        cause = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise UserError(f"--task={name} {what}: {cause}{_line(name, error)}") from error


def _line(name: str, error: BaseException) -> str:
    place = name.rpartition(":")[0] or name
    own = Path(place).resolve() if place.endswith(".py") else None
    if not own:
        own = Path(getattr(sys.modules.get(place), "__file__", None) or place)
    if isinstance(error, SyntaxError):
        return f" ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == own]
    return f" ({own.name}, line {lines[-1]})" if lines else ""


def _try(task: Task, name: str) -> None:
    """Make a network, take one step, and judge it: what fails here would fail in every case."""
    with _named(name, "has a network that cannot be made"):
        made = task.network()
    if not isinstance(made, nn.Module) or not [*made.parameters()]:
        raise UserError(f"--task={name}: network() makes no torch module with parameters")
    places = {str(parameter.device) for parameter in made.parameters()} - {"cpu"}
    if places:
        raise UserError(
            f"--task={name}: network() puts parameters on {', '.join(sorted(places))}: leave them "
            "on the CPU, and choose a device with --device"
        )
    network = task.new_network(0)
    inputs, targets = next(task.train.head(FIRST_SAMPLES).batches(FIRST_SAMPLES))
    with _named(name, f"has a network that cannot take {len(targets)} training samples"):
        outputs = network(inputs)
    with _named(name, "has a loss that does not fit the network's outputs and the targets"):
        loss = task.loss(outputs, targets)
        twice = task.loss(torch.cat([outputs, outputs]), torch.cat([targets, targets]))
    if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise UserError(f"--task={name}: the loss is {shape}, and must be a differentiable scalar")
    if not loss.isfinite():
        raise UserError(f"--task={name}: a fresh network's loss is {float(loss)}, not finite")
    if not torch.isclose(loss, twice, rtol=1e-3):
        raise UserError(
            f"--task={name}: the loss is no mean over the batch: it is {float(loss):.4g} for "
            f"{len(targets)} samples, and {float(twice):.4g} for the same samples twice"
        )
    with _named(name, "has an optimizer that cannot take a step"):
        optimizer = task.optimizer(network.parameters(), task.learning_rate)
        loss.backward()
        optimizer.step()
    if not isinstance(optimizer, Optimizer):
        raise UserError(f"--task={name}: optimizer() makes no torch optimizer")
    _try_score(task, name)


@torch.no_grad()
def _try_score(task: Task, name: str) -> None:
    network = task.new_network(0).eval()
    inputs, targets = next(task.test.head(TEST_SAMPLES).batches(TEST_SAMPLES))
    with _named(name, "has a score that does not fit the network's outputs and the test targets"):
        score = float(task.score(network(inputs), targets))
    if not score < task.target or not math.isfinite(score):
        raise UserError(
            f"--task={name}: a fresh network scores {score:.4g}, and the target is "
            f"{task.target:g}: training must raise the score to the target, so a higher score "
            "must be a better one"
        )
