"""python -m bench noise-scale: the gradient noise scale from the first step to the target."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench import cases, command_line
from mnist_mlp import arguments, cache, datasets, noise_scale
from mnist_mlp.data import Data
from mnist_mlp.engines.eager import Eager
from mnist_mlp.evaluation import evaluate
from mnist_mlp.learning_rate import tuned
from mnist_mlp.model import MLP
from mnist_mlp.noise_scale import NoiseScale
from mnist_mlp.training import NotFiniteError, Walk

DESCRIPTION = """Train to test accuracy 0.95, and print on the way how noisy the gradient is: the
batch size at which its noise is as large as itself."""
BATCH_SIZE = 256  # so large that a step follows the gradient more than its noise
STEPS_RATIO = 1.3  # between measurements
SMALL, LARGE, DRAWS = 8, 8192, 16


@dataclass(frozen=True, kw_only=True)
class Point:
    """One measurement."""

    steps: int
    test_accuracy: float
    noise: NoiseScale


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    shared = partial(command_line.add, parser.add_argument)
    parser.add_argument(
        "--batch-size",
        type=arguments.whole_number,
        default=BATCH_SIZE,
        metavar="B",
        help="to train with (default: %(default)s)",
    )
    shared("--lr", default=None, help="to train with (default: the rule tuned at that batch size)")
    shared("--data-root", "--cache-dir")


def run(options: argparse.Namespace) -> int:
    """Train, and print the noise scale at a geometric grid of steps, and its average."""
    console = Console(highlight=False)
    rate = options.lr or tuned(cases.LEARNING_RATE, options.batch_size)
    try:
        data = datasets.load(data_root=options.data_root, cache_dir=options.cache_dir)
        points = list(along(data, options.batch_size, rate))
    except (datasets.DataError, cache.CacheError, NotFiniteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(
        f"gradient noise scale, {data.name}, trained at batch size {options.batch_size}, learning "
        f"rate {rate:.3g}",
        soft_wrap=True,
    )
    console.print(table(points))
    console.print(average(points), soft_wrap=True)
    if points[-1].test_accuracy < cases.TARGET_ACCURACY:
        console.print(f"They ended below test accuracy {cases.TARGET_ACCURACY:g}: at the budget.")
    return 0


def along(data: Data, batch_size: int, rate: float) -> Iterator[Point]:
    """Train, and measure up to the target or the end of the budget."""
    engine = Eager(MLP(seed=0), learning_rate=rate)
    generator = torch.Generator().manual_seed(0)
    walk = Walk(engine, data.train, batch_size, generator=generator)
    while True:
        accuracy = evaluate(engine.network, data.test).accuracy
        noise = noise_scale.estimate(
            engine.network,
            data.train,
            small=min(SMALL, len(data.train) - 1),
            large=min(LARGE, len(data.train)),
            draws=DRAWS,
            generator=generator,
        )
        yield Point(steps=walk.steps, test_accuracy=accuracy, noise=noise)
        if accuracy >= cases.TARGET_ACCURACY or walk.epochs >= cases.MAX_EPOCHS:
            return
        walk.advance(max(1, round(walk.steps * (STEPS_RATIO - 1))))


def table(points: Sequence[Point]) -> Table:
    """Lay out a row for each measurement."""
    table = Table()
    headings = ("steps", "test accuracy", "B_simple", "standard error", "|G|^2", "tr Sigma")
    for heading in headings:
        table.add_column(heading, justify="right")
    for point in points:
        table.add_row(
            f"{point.steps:,}",
            f"{point.test_accuracy:.4f}",
            f"{point.noise.samples:,.0f}",
            f"{point.noise.standard_error:,.0f}",
            f"{point.noise.gradient_square:.3g}",
            f"{point.noise.covariance_trace:.3g}",
        )
    return table


def average(points: Sequence[Point]) -> str:
    """Average over the steps of the run, which is what B_crit is to be compared with."""
    steps = [point.steps for point in points]

    def mean(values: Sequence[float]) -> float:
        return float(np.trapezoid(values, steps) / steps[-1])

    scale = mean([point.noise.samples for point in points])
    trace = mean([point.noise.covariance_trace for point in points])
    square = mean([point.noise.gradient_square for point in points])
    return (
        f"Averaged over the {steps[-1]:,} steps: B_simple {scale:,.0f}; tr Sigma over |G|^2, each "
        f"averaged first, {trace / square:,.0f}."
    )
