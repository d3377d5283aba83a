"""Where a task comes from: a user's file or module, or a data set for the question's task."""

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
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from mnist_mlp import datasets
from mnist_mlp.arguments import place_of_task
from mnist_mlp.errors import UserError
from mnist_mlp.task import Task, seeded

FIRST_SAMPLES = 8  # training samples of the trial that comes before any measurement
TEST_SAMPLES = 256  # test samples of this trial


@dataclass(frozen=True, kw_only=True)
class Source:
    """Loads the same task in this process and in other processes."""

    task: str | None = None  # FILE.py, FILE.py:NAME or MODULE:NAME; None: the question's
    data_root: Path | None = None  # passed to `datasets.load`
    cache_dir: Path | None = None
    device: str = "cpu"

    @classmethod
    def of(cls, options: Namespace) -> "Source":
        """Return the source that options, named like the fields, ask for."""
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
        place, name = place_of_task(self.task)
        with torch.random.fork_rng(devices=[]):  # the user's file may draw numbers or seed
            try:
                with _trying("it cannot be loaded"):
                    task = _find(place, name)
                train, test = task.train.to(self.device), task.test.to(self.device)
                task = replace(task, train=train, test=test)
                _try(task)
            except UserError as error:
                line = _line(place, error.__cause__ or error)
                raise UserError(f"--task={self.task}: {error}{line}") from error
        return task


@contextmanager
def _trying(fault: str) -> Iterator[None]:
    """Turn any error of the user's code into a UserError of one sentence."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        cause = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise UserError(f"{fault}: {cause}") from error


def _find(place: str, name: str) -> Task:
    module = _of_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    if not hasattr(module, name):
        raise UserError(f"{place} defines no {name!r}: define a Task of this name")
    value = getattr(module, name)
    task = value() if callable(value) else value
    if not isinstance(task, Task):
        raise UserError(
            f"{name!r} is of type {type(task).__name__}: make it a Task, or a function that "
            "returns one"
        )
    return task


def _of_file(file: Path) -> ModuleType:
    module = ModuleType(file.stem)
    module.__file__ = str(file)
    sys.path.append(str(file.resolve().parent))  # the file may import its neighbours
    known = sys.modules.get(file.stem, module)
    if getattr(known, "__file__", None) == module.__file__:  # a module such as random stays
        sys.modules[file.stem] = module
    exec(compile(file.read_bytes(), file, "exec"), vars(module))  # noqa: S102 - the user's own
    return module


def _line(place: str, error: BaseException) -> str:
    """Name the last line of the user's file that an error came through; empty if there is none."""
    own = Path(getattr(sys.modules.get(place), "__file__", None) or place).resolve()
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == own]
    return f" ({own.name}, line {lines[-1]})" if lines else ""


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a value of type {type(value).__name__}"


def _require(condition: object, fault: str) -> None:
    if not condition:
        raise UserError(fault)


def _try(task: Task) -> None:
    """Train and score a fresh network on a few samples: a fault would show in every case."""
    _try_network(task)
    network = task.new_network(0)
    inputs, targets = next(task.train.head(FIRST_SAMPLES).batches(FIRST_SAMPLES))
    with _trying(f"the network cannot take {len(targets)} training samples"):
        outputs = network(inputs)
    _require(isinstance(outputs, Tensor), f"the network returns {_kind(outputs)}: return a tensor")
    loss = _loss(task, outputs, targets)
    with _trying("optimizer() fails"):
        optimizer = task.optimizer(network.parameters(), task.learning_rate)
    is_optimizer = isinstance(optimizer, Optimizer)
    _require(is_optimizer, f"optimizer() returns {_kind(optimizer)}: return a torch optimizer")
    moved = {id(each) for group in optimizer.param_groups for each in group["params"]}
    is_of_network = moved <= {*map(id, network.parameters())}
    _require(is_of_network, "optimizer() updates parameters that it is not given: use its argument")
    with _trying("the optimizer cannot take a step"):
        loss.backward()
        optimizer.step()
    _try_score(task)


def _try_network(task: Task) -> None:
    with _trying("network() fails"):
        first, second = (seeded(task.network, seed=0) for _ in range(2))
    _require(isinstance(first, nn.Module), f"network() returns {_kind(first)}: return a module")
    parameters, repeated = [*first.parameters()], [*second.parameters()]
    _require(parameters, "network() returns a module without parameters: give it layers to train")
    _require(not any(map(is_lazy, parameters)), "network() has lazy layers: give them their sizes")
    places = ", ".join({str(each.device) for each in parameters} - {"cpu"})
    _require(not places, f"network() is on {places}: leave it on the CPU, and use --device")
    is_fresh = not {*map(id, parameters)} & {*map(id, repeated)}
    _require(is_fresh, "network() returns the same parameters again: make new layers in it")
    is_seeded = all(map(torch.equal, parameters, repeated))
    _require(is_seeded, "network() differs for the same seed: let only torch draw its parameters")


def _loss(task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
    with _trying("the loss does not fit the network's outputs and the targets"):
        loss = task.loss(outputs, targets)
        twice = task.loss(torch.cat([outputs, outputs]), torch.cat([targets, targets]))
    is_scalar = isinstance(loss, Tensor) and loss.ndim == 0 and loss.requires_grad
    _require(is_scalar, f"the loss is {_kind(loss)}: give a scalar that torch can differentiate")
    _require(loss.isfinite(), f"the loss of a fresh network is {loss.item()}, not finite")
    _require(
        torch.isclose(loss, twice, rtol=1e-3),
        f"the loss is not a mean over samples: it is {loss.item():.4g} for {len(targets)} "
        f"samples, and {twice.item():.4g} for the same samples twice",
    )
    return loss


@torch.no_grad()
def _try_score(task: Task) -> None:
    network = task.new_network(0).eval()
    inputs, targets = next(task.test.head(TEST_SAMPLES).batches(TEST_SAMPLES))
    with _trying(f"the network cannot take {len(targets)} test samples"):
        outputs = network(inputs)
    with _trying("the score does not fit the network's outputs and the targets"):
        score = float(task.score(outputs, targets))
    _require(
        math.isfinite(score) and score < task.target,
        f"a fresh network scores {score:.4g}, and the target is {task.target:g}: training must "
        "raise the score to the target, so a higher score must be a better one",
    )
