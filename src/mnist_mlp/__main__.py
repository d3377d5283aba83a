"""python -m mnist_mlp: train, and print what the question's author printed."""

import argparse
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from mnist_mlp import arguments, cache, checkpoint, datasets, device, engines
from mnist_mlp.batches import steps_per_epoch
from mnist_mlp.checkpoint import Checkpoint, CheckpointError, Keeper, Settings
from mnist_mlp.data import Data, Split
from mnist_mlp.engines.engine import PrecisionError, UnavailableError
from mnist_mlp.model import MLP
from mnist_mlp.training import EpochReport, NotFiniteError, Walk, fit, resume

DEFAULTS: Settings = {
    "engine": "eager",
    "batch_size": 64,
    "learning_rate": 0.1,
    "seed": 0,
    "precision": "float32",
}
OPTIONS = {
    "engine": "--engine",
    "batch_size": "--batch-size",
    "learning_rate": "--lr",
    "seed": "--seed",
    "precision": "--precision",
    "data": "--data-root",
}


class UsageError(Exception):
    """The options contradict the resumed run."""


def main(words: Sequence[str] | None = None) -> int:
    """Train as the command line says, and return the exit code."""
    # An option that is not given stays None, so that a resumed run keeps its own setting.
    options = parser().parse_args(words, argparse.Namespace(**dict.fromkeys(DEFAULTS)))
    try:
        run(options)
    except (
        UsageError,
        datasets.DataError,
        cache.CacheError,
        CheckpointError,
        UnavailableError,
        PrecisionError,
        NotFiniteError,
    ) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mnist_mlp",
        description="Train the 784-256-10 sigmoid network on MNIST with plain SGD, and print each "
        "epoch's losses, test accuracy and training seconds.",
        epilog="Every epoch writes CHECKPOINTS/NAME.last.pt, and CHECKPOINTS/NAME.best.pt when the "
        "test loss is the lowest so far; NAME lists the settings. --resume continues from either.",
    )
    add, shared = parser.add_argument, partial(arguments.add, parser.add_argument)
    number = arguments.whole_number
    add("--batch-size", type=number, metavar="B", help="samples a step (default: %(default)s)")
    add("--epochs", type=number, default=10, help="of the whole run (default: %(default)s)")
    shared("--engine", "--precision")
    shared("--lr", dest="learning_rate")
    add(
        "--seed",
        type=arguments.seed,
        help="of the network and the shuffling (default: %(default)s)",
    )
    shared("--threads", "--device", "--data-root", "--cache-dir")
    add("--checkpoints", type=Path, default=Path("checkpoints"), help="folder for checkpoints")
    add("--resume", type=Path, metavar="FILE", help="continue the run of this checkpoint")
    parser.set_defaults(**DEFAULTS)
    return parser


def run(options: argparse.Namespace) -> None:
    """Train, print each epoch, and keep checkpoints.

    Raises:
        UsageError: the options contradict the resumed run.
        DataError, CacheError, CheckpointError, UnavailableError, PrecisionError, NotFiniteError: as
            the functions that it calls raise them.

    """
    device.use(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    mnist = datasets.load(
        data_root=options.data_root, cache_dir=options.cache_dir, device=options.device
    )
    resumed = checkpoint.load(options.resume) if options.resume else None
    settings = settle(options, mnist, resumed)
    name = "-".join(str(value) for value in settings.values())
    keeper = Keeper(
        settings=settings,
        best=options.checkpoints / f"{name}.best.pt",
        last=options.checkpoints / f"{name}.last.pt",
        best_test_loss=resumed.best_test_loss if resumed else math.inf,
    )
    steps = steps_per_epoch(len(mnist.train), int(settings["batch_size"]))
    print(f"{run_line(settings)}: {steps:,} steps an epoch")
    walk = new_walk(settings, mnist, options.device)
    if resumed:
        resume(walk, resumed)
    print_epochs(walk, mnist.test, options.epochs, keeper)
    if keeper.best.exists():
        print(f"best by test loss: {keeper.best}")
    print(f"latest:            {keeper.last}")


def new_walk(settings: Settings, mnist: Data, device: str) -> Walk:
    """Build a fresh network and its engine, ready for the first step."""
    seed = int(settings["seed"])
    engine = engines.load(str(settings["engine"]))(
        MLP(seed=seed).to(device),
        learning_rate=float(settings["learning_rate"]),
        precision=str(settings["precision"]),
    )
    generator = torch.Generator().manual_seed(seed)
    return Walk(engine, mnist.train, int(settings["batch_size"]), generator=generator)


def print_epochs(walk: Walk, test: Split, epochs: int, keeper: Keeper) -> None:
    """Train up to so many epochs, print each, and show on a terminal how far the current one is."""
    console = Console()
    columns = TextColumn("epoch"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("epoch", total=walk.steps_per_epoch)
        for report in fit(
            walk,
            test,
            epochs=epochs,
            keeper=keeper,
            watch=lambda steps: progress.advance(task, steps),
        ):
            console.print(epoch_line(report), highlight=False, soft_wrap=True)
            progress.reset(task)


def run_line(settings: Settings) -> str:
    """Describe the run in one line."""
    return (
        f"{settings['data']}, {settings['engine']} engine, batch size {settings['batch_size']}, "
        f"learning rate {settings['learning_rate']:g}, seed {settings['seed']}, "
        f"{settings['precision']}, "
        f"{torch.get_num_threads()} threads"
    )


def epoch_line(report: EpochReport) -> str:
    """Describe one epoch as the question's author printed it."""
    return (
        f"epoch {report.epoch:3d}  train loss {report.train_loss:.4f}  "
        f"test loss {report.test_loss:.4f}  test accuracy {report.test_accuracy:.4f}  "
        f"{report.seconds:.2f} s"
    )


def settle(options: argparse.Namespace, mnist: Data, resumed: Checkpoint | None) -> Settings:
    """Choose each setting: the option if it is given, else the resumed run's, else the default.

    Raises:
        UsageError: an option differs from the resumed run, or that run has all its epochs.
        PrecisionError: the engine does not compute in the precision.

    """
    before = resumed.settings if resumed else {}
    asked = {name: getattr(options, name) for name in DEFAULTS}
    asked["data"] = mnist.name
    for name, value in asked.items():
        if resumed and value is not None and value != before.get(name):
            raise UsageError(
                f"{options.resume} was trained with {OPTIONS[name]} {before.get(name)}, not "
                f"{value}: resume with the same, or start a new run"
            )
    if resumed and resumed.epoch >= options.epochs:
        raise UsageError(
            f"{options.resume} has {resumed.epoch} epochs already: ask for more with --epochs"
        )
    chosen = {name: value for name, value in asked.items() if value is not None}
    settings = {"data": mnist.name, **DEFAULTS, **before, **chosen}
    engines.load(str(settings["engine"])).check_precision(str(settings["precision"]))
    return settings


if __name__ == "__main__":
    sys.exit(main())
