"""The registry of engines: ways to carry out the same training steps at different speeds.

Importing it does not import torch, so that a command line can list the engines at once.
"""

import pkgutil
from typing import TYPE_CHECKING, cast

from mnist_mlp.errors import UserError

if TYPE_CHECKING:
    from mnist_mlp.engines.engine import Engine

# A new engine is a file beside this one and a line here: its name, and where its class is.
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
        raise UserError(f"{name!r} is no engine: choose from {', '.join(ENGINES)}")
    return cast("type[Engine]", pkgutil.resolve_name(ENGINES[name]))
