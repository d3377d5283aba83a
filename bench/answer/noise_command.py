"""python -m bench noise-scale: the gradient noise scale from the first step to the target."""

import argparse
import sys

import torch
from rich.console import Console
from rich.table import Table

from bench import cases
from mnist_mlp import cache, datasets, noise_scale
from mnist_mlp.data import Data
from mnist_mlp.engines.eager import Eager
from mnist_mlp.evaluation import evaluate
from mnist_mlp.model import MLP
from mnist_mlp.training import Walk

BATCH_SIZE = 4  # the fastest to the target at the question's learning rate
STEPS_RATIO = 3  # between measurements
SMALL, LARGE, DRAWS = 8, 8192, 40


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command has none."""


def run(options: argparse.Namespace) -> int:  # noqa: ARG001 - a command's signature
    """Train, and print the noise scale at a geometric grid of steps."""
    try:
        data = datasets.load()
    except (datasets.DataError, cache.CacheError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    Console().print(measure(data))
    return 0


def measure(data: Data) -> Table:
    """Return a row for each measurement, up to the target or the end of the budget."""
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
