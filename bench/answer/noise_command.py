"""python -m bench noise-scale: the gradient noise scale from the first step to the target."""

import argparse
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bench import cases
from mnist_mlp import cache

if TYPE_CHECKING:
    from mnist_mlp.data import Data

HELP = "how many samples a step the gradient's noise can use, from the start to the target"
BATCH_SIZE = 4  # the fastest to the target at the question's learning rate
STEPS_RATIO = 3  # between measurements
SMALL, LARGE, DRAWS = 8, 8192, 40


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser("noise-scale", help=HELP, description=HELP)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:  # noqa: ARG001 - a command's signature
    """Train, and print the noise scale at a geometric grid of steps."""
    from mnist_mlp import datasets  # noqa: PLC0415 - torch takes seconds; others need none of it

    try:
        data = datasets.load()
    except (datasets.DataError, cache.CacheError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    Console().print(measure(data))
    return 0


def measure(data: "Data") -> Table:
    """A row a measurement, until an evaluation reaches the target or the budget is spent."""
    import torch  # noqa: PLC0415 - as above

    from mnist_mlp import noise_scale  # noqa: PLC0415
    from mnist_mlp.engines.eager import Eager  # noqa: PLC0415
    from mnist_mlp.evaluation import evaluate  # noqa: PLC0415
    from mnist_mlp.model import MLP  # noqa: PLC0415
    from mnist_mlp.training import Walk  # noqa: PLC0415

    engine = Eager(MLP(seed=0), learning_rate=cases.LEARNING_RATE)
    generator = torch.Generator().manual_seed(0)
    walk = Walk(engine, data.train, BATCH_SIZE, generator=generator)
    table = Table(
        title=f"gradient noise scale, {data.name}, trained at batch size {BATCH_SIZE}, "
        f"learning rate {cases.LEARNING_RATE:g}",
        title_justify="left",
        title_style="bold",
    )
    headings = ("steps", "test accuracy", "B_simple", "standard error", "|G|^2", "tr Sigma")
    for heading in headings:
        table.add_column(heading, justify="right")
    while True:
        found = noise_scale.estimate(
            engine.network,
            data.train,
            small=min(SMALL, len(data.train) - 1),
            large=min(LARGE, len(data.train)),
            draws=DRAWS,
            generator=generator,
        )
        accuracy = evaluate(engine.network, data.test).accuracy
        table.add_row(
            f"{walk.steps:,}",
            f"{accuracy:.4f}",
            f"{found.samples:,.0f}",
            f"{found.standard_error:,.0f}",
            f"{found.gradient_square:.3g}",
            f"{found.covariance_trace:.3g}",
        )
        if accuracy >= cases.TARGET_ACCURACY or walk.epochs >= cases.MAX_EPOCHS:
            return table
        walk.advance(max(1, walk.steps * (STEPS_RATIO - 1)))
