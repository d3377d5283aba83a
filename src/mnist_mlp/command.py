"""The command that trains, and prints what the question's author printed."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from mnist_mlp import arguments, cache, checkpoint, datasets, device, engines
from mnist_mlp.batches import steps_per_epoch
from mnist_mlp.checkpoint import Checkpoint, CheckpointError, Keeper, Settings
from mnist_mlp.data import Data, Split
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.memory import BatchMemory, NotEnoughMemoryError
from mnist_mlp.model import MLP
from mnist_mlp.training import EpochReport, NotFiniteError, Walk, fit, resume
from mnist_mlp.workers import group, launched

DEFAULTS: Settings = {
    "engine": "eager",
    "batch_size": 64,
    "learning_rate": 0.1,
    "seed": 0,
}
OPTIONS = {
    "engine": "--engine",
    "batch_size": "--batch-size",
    "learning_rate": "--lr",
    "seed": "--seed",
    "data": "--data-root",
}
# What a resumed run may have been trained with; earlier versions offered more.
OFFERED: dict[str, tuple[str | int, ...]] = {
    "engine": tuple(engines.ENGINES),
    "precision": ("float32",),
    "average_every": (1,),
}

OBSTACLES = (
    *(datasets.DataError, cache.CacheError, CheckpointError, UnavailableError),
    *(NotFiniteError, NotEnoughMemoryError),
)


class UsageError(Exception):
    """The options contradict each other, the resumed run, or how this process was started."""


def main(words: Sequence[str] | None = None) -> int:
    """Train as the command line says, and return the exit code."""
    # An option that is not given stays None, so that a resumed run keeps its own setting.
    with launched.first_speaks():
        options = parser().parse_args(words, argparse.Namespace(**dict.fromkeys(DEFAULTS)))
    if group.is_launched():
        return launched.run_together(partial(run, options), options.device)
    try:
        run(options)
    except (UsageError, *OBSTACLES) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mnist_mlp",
        description="Train the 784-256-10 sigmoid network on MNIST with plain SGD, and print each "
        "epoch's losses, test accuracy and training seconds. Under torchrun, the processes that it "
        "starts share each batch.",
        epilog="Every epoch writes CHECKPOINTS/NAME.last.pt, and CHECKPOINTS/NAME.best.pt when the "
        "test loss is the lowest so far; NAME lists the settings. --resume continues from either.",
    )
    add, shared = parser.add_argument, partial(arguments.add, parser.add_argument)
    number = arguments.whole_number
    add("--batch-size", type=number, metavar="B", help="samples a step (default: %(default)s)")
    add("--epochs", type=number, default=10, help="of the whole run (default: %(default)s)")
    shared("--engine")
    shared("--lr", dest="learning_rate")
    add(
        "--seed",
        type=arguments.seed,
        help="of the network and the shuffling (default: %(default)s)",
    )
    shared("--threads", "--device", "--data-root", "--cache-dir", "--force")
    add("--checkpoints", type=Path, default=Path("checkpoints"), help="folder for checkpoints")
    add("--resume", type=Path, metavar="FILE", help="continue the run of this checkpoint")
    parser.set_defaults(**DEFAULTS)
    return parser


def run(options: argparse.Namespace) -> None:
    """Train, print each epoch, and keep checkpoints.

    Raises:
        UsageError: as `settle` raises it.
        LostError: another worker has failed.
        DataError, CacheError, CheckpointError, UnavailableError, NotFiniteError,
            NotEnoughMemoryError: as the functions that it calls raise them.

    """
    place = group.own_device(options.device)
    device.use(place)
    if options.threads or group.is_launched():
        torch.set_num_threads(options.threads or group.own_threads())
    mnist = datasets.load(data_root=options.data_root, cache_dir=options.cache_dir, device=place)
    group.wait_for_all()
    before = group.from_first(lambda: checkpoint.load(options.resume) if options.resume else None)
    settings = settle(options, mnist, before)
    keeper = new_keeper(settings, options.checkpoints)
    restarted = group.from_first(lambda: after_restart(keeper))
    resumed = restarted or before
    if resumed:
        keeper.best_test_loss = resumed.best_test_loss
    steps = steps_per_epoch(len(mnist.train), int(settings["batch_size"]))
    print(f"{run_line(settings)}: {steps:,} steps an epoch")
    if restarted:
        print(f"going on after epoch {restarted.epoch}: the workers were started anew")
    if not options.force:
        check_memory(settings, mnist, place)
    walk = new_walk(settings, mnist, place)
    if resumed:
        resume(walk, resumed)
    print_epochs(walk, mnist.test, options.epochs, keeper if group.rank() == 0 else None)
    if keeper.best.exists():
        print(f"best by test loss: {keeper.best}")
    print(f"latest:            {keeper.last}")


def new_keeper(settings: Settings, folder: Path) -> Keeper:
    """Name a run's checkpoints by its settings."""
    name = "-".join(str(value) for value in settings.values())
    return Keeper(
        settings=settings,
        best=folder / f"{name}.best.pt",
        last=folder / f"{name}.last.pt",
        launch=group.launch(),
    )


def after_restart(keeper: Keeper) -> Checkpoint | None:
    """Return what the run had come to before torchrun started its workers anew, if it did."""
    if not keeper.launch or not keeper.last.exists():
        return None
    try:
        found = checkpoint.load(keeper.last)
    except CheckpointError:  # of another run, which this one will write over
        return None
    return found if found.launch == keeper.launch else None


def check_memory(settings: Settings, mnist: Data, device: str) -> None:
    """Refuse a batch that needs more memory than is free; several workers are not checked.

    Raises:
        NotEnoughMemoryError: gives what is needed and what is free.

    """
    if group.size() > 1:
        return

    def train_on(samples: int) -> object:
        part = replace(mnist, train=mnist.train.head(samples))
        return new_walk(settings | {"batch_size": samples}, part, device).advance(1)

    BatchMemory(str(settings["engine"]), train_on).require(
        min(int(settings["batch_size"]), len(mnist.train)),
        instead="choose a smaller --batch-size, close other programs, or add --force",
    )


def new_walk(settings: Settings, mnist: Data, device: str) -> Walk:
    """Build a fresh network and its engine, ready for the first step."""
    seed = int(settings["seed"])
    engine = engines.load(str(settings["engine"]))(
        MLP(seed=seed).to(device),
        learning_rate=float(settings["learning_rate"]),
    )
    generator = torch.Generator().manual_seed(seed)
    return Walk(engine, mnist.train, int(settings["batch_size"]), generator=generator)


def print_epochs(walk: Walk, test: Split, epochs: int, keeper: Keeper | None) -> None:
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
            group.wait_for_all()  # for the first, which keeps checkpoints
            progress.reset(task)


def run_line(settings: Settings) -> str:
    """Describe the run in one line."""
    return (
        f"{settings['data']}, {settings['engine']} engine, batch size {settings['batch_size']}, "
        f"learning rate {settings['learning_rate']:g}, seed {settings['seed']}, "
        f"{torch.get_num_threads()} threads"
        + (f" in each of {group.size()} workers" if group.size() > 1 else "")
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
        UsageError: an option differs from the resumed run, or that run has all its epochs, or was
            trained as this version cannot; or the engine is not for so many workers.

    """
    before = offered_settings(resumed, options.resume) if resumed else {}
    asked = {name: getattr(options, name) for name in DEFAULTS}
    asked["data"] = mnist.name
    for name, value in asked.items():
        trained = before.get(name, DEFAULTS.get(name))
        if resumed and value is not None and value != trained:
            raise UsageError(
                f"{options.resume} was trained with {OPTIONS[name]} {trained}, not {value}: "
                "resume with the same, or start a new run"
            )
    if resumed and resumed.epoch >= options.epochs:
        raise UsageError(
            f"{options.resume} has {resumed.epoch} epochs already: ask for more with --epochs"
        )
    chosen = {name: value for name, value in asked.items() if value is not None}
    started = {"engine": "ddp"} if group.size() > 1 else {}
    settings = {"data": mnist.name, **DEFAULTS, **started, **before, **chosen}
    engine = engines.load(str(settings["engine"]))
    if group.size() > 1 and not engine.is_shared:
        raise UsageError(
            f"the {engine.name} engine trains in one process, and torchrun started {group.size()}: "
            "choose the ddp engine"
        )
    return settings


def offered_settings(resumed: Checkpoint, file: Path) -> Settings:
    """Return the resumed run's settings, without those that offer no choice any more.

    Raises:
        UsageError: the run was trained with a value that earlier versions offered.

    """
    for name, values in OFFERED.items():
        value = resumed.settings.get(name, values[0])
        if value not in values:
            raise UsageError(
                f"{file} was trained with {name} {value}, and this version has only "
                f"{', '.join(map(str, values))}: start a new run"
            )
    return {name: value for name, value in resumed.settings.items() if name in OPTIONS}
