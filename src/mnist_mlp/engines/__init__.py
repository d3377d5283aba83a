"""The registry of engines: ways to carry out the same training steps at different speeds.

Importing it does not import torch, so that a command line can list the engines at once.
"""

import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from mnist_mlp.errors import UserError

if TYPE_CHECKING:
    from mnist_mlp.engines.engine import Engine
    from mnist_mlp.task import Task

# A new engine is a file beside this file and a line here: its name, and the place of its class.
ENGINES: dict[str, str] = {
    "loader": "mnist_mlp.engines.loader:Loader",
    "eager": "mnist_mlp.engines.eager:Eager",
    "compiled": "mnist_mlp.engines.compiled:Compiled",
    "native": "mnist_mlp.engines.native.native:Native",
    "ddp": "mnist_mlp.engines.ddp:Ddp",
}


def load(name: str) -> "type[Engine]":
    """Import the class of the engine that is registered under `name`, or raise UserError."""
    if name not in ENGINES:
        raise UserError(f"{name!r} is not an engine: choose from {', '.join(ENGINES)}")
    return cast("type[Engine]", pkgutil.resolve_name(ENGINES[name]))


def suited(task: "Task", announce: Callable[[str], object] = lambda _: None) -> str:
    """Return the name of a task's default engine; announce the loader, and why it is needed."""
    if not task.train.obstacle:
        return "eager"
    announce(f"{task.name} is not in memory ({task.train.obstacle}), so the loader engine is used")
    return "loader"


def new(
    name: str, task: "Task", *, seed: int = 0, learning_rate: float | None = None, **more: Any
) -> "Engine":
    """Make an engine with a fresh network; `learning_rate` defaults to the task's."""
    network = task.new_network(seed)
    return load(name)(task, network, learning_rate=learning_rate or task.learning_rate, **more)
