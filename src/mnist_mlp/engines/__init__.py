"""Ways to carry out training steps: the same arithmetic, at different speeds."""

from mnist_mlp.engines.compiled.compiled import Compiled
from mnist_mlp.engines.compiled.graphs import CompilerError
from mnist_mlp.engines.eager import Eager
from mnist_mlp.engines.engine import Engine
from mnist_mlp.engines.loader import Loader

__all__ = ["ENGINES", "PRECISIONS", "Compiled", "CompilerError", "Eager", "Engine", "Loader"]

ENGINES: dict[str, type[Engine]] = {"loader": Loader, "eager": Eager, "compiled": Compiled}
PRECISIONS = Compiled.precisions  # every engine has the first
