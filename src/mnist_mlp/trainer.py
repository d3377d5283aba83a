"""A run of the trainer: its settings, its checkpoints, and the lines that it prints."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from mnist_mlp import checkpoint, device, engines
from mnist_mlp.arguments import RESUMED, TRAINER
from mnist_mlp.batches import clamped, steps_per_epoch
from mnist_mlp.checkpoint import Checkpoint, Keeper, Settings
from mnist_mlp.engines.engine import Engine
from mnist_mlp.errors import UserError
from mnist_mlp.memory import BatchMemory
from mnist_mlp.task import Task
from mnist_mlp.task_source import Source
from mnist_mlp.training import EpochReport, Walk, fit, require_steps, resume
from mnist_mlp.workers import group, is_launched

DEFAULTS: Settings = {name: TRAINER[flag]["default"] for name, flag in RESUMED.items()}
FLAGS = {"data": "--task or --data-root", **RESUMED}
# Settings of earlier versions, with the only value that this version supports.
FORMER: Settings = {"precision": "float32", "average_every": 1}


def run(options: argparse.Namespace) -> None:
    """Train, print each epoch, and keep checkpoints.

    Raises:
        UserError: the options contradict each other, the resumed run or this machine; or the
            training broke down.
        LostError: another worker has failed.

    """
    own_device = group.own_device(options.device)
    device.use(own_device)
    if options.threads or is_launched():
        torch.set_num_threads(options.threads or group.own_threads())
    task = replace(Source.of(options), device=own_device).load()
    group.wait_for_all()
    before = group.from_first(lambda: checkpoint.load(options.resume) if options.resume else None)
    settings = settle(options, task, before)
    keeper = new_keeper(settings, options.checkpoints)
    restarted = group.from_first(lambda: after_restart(keeper))
    resumed = restarted or before
    steps = steps_per_epoch(len(task.train), int(settings["batch_size"]))
    print(f"{run_line(settings)}: {steps:,} steps per epoch")
    if restarted:
        print(f"continuing after epoch {restarted.epoch}: torchrun restarted the workers")
    if not options.force:
        check_memory(settings, task)
    if options.task:
        new = partial(new_engine, settings, task)
        require_steps(new, task.train, int(settings["batch_size"]))
    walk = new_walk(settings, task)
    if resumed:
        keeper.best_test_loss = resumed.best_test_loss
        resume(walk, resumed)
    print_epochs(walk, options.epochs, keeper if group.rank() == 0 else None)
    if keeper.best.exists():
        print(f"best by test loss: {keeper.best}")
    print(f"latest:            {keeper.last}")


def settle(options: argparse.Namespace, task: Task, resumed: Checkpoint | None) -> Settings:
    """Choose each setting: the option if it is given, else the resumed run's, else the default."""
    before = dict(resumed.settings) if resumed else {}
    for name, value in FORMER.items():
        if (former := before.pop(name, value)) != value:
            raise UserError(
                f"{options.resume} was trained with {name} {former}, and this version has only "
                f"{value}: start a new run"
            )
    options_given = {name: getattr(options, name) for name in RESUMED}
    given = {name: value for name, value in options_given.items() if value is not None}
    given["data"] = task.name
    defaults = DEFAULTS
    if options.task:
        defaults = DEFAULTS | {"batch_size": task.batch_size, "learning_rate": task.learning_rate}
    for name, value in given.items():
        trained = before.get(name, defaults.get(name))
        if resumed and value != trained:
            raise UserError(
                f"{options.resume} was trained with {FLAGS[name]} {trained}, not {value}: "
                "resume with the same value, or start a new run"
            )
    if resumed and resumed.epoch >= options.epochs:
        raise UserError(
            f"{options.resume} has {resumed.epoch} epochs already: ask for more with --epochs"
        )
    started = {"engine": "ddp"} if group.size() > 1 else {}
    if "engine" not in {*before, *given, *started}:
        started = {"engine": engines.suited(task, print)}
    settings = {"data": task.name, **defaults, **started, **before, **given}
    engine = engines.load(str(settings["engine"]))
    if group.size() > 1 and not engine.is_shared:
        raise UserError(
            f"the {engine.name} engine trains in one process, and torchrun started {group.size()}: "
            "choose the ddp engine"
        )
    return settings


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
    """Return the checkpoint from before torchrun restarted the workers of this run, if any."""
    if not keeper.launch or not keeper.last.exists():
        return None
    try:
        last = checkpoint.load(keeper.last)
    except UserError as error:
        raise UserError(
            f"{error}; this run would overwrite it: remove it, or name another folder with "
            "--checkpoints"
        ) from error
    return last if last.launch == keeper.launch else None


def check_memory(settings: Settings, task: Task) -> None:
    """Refuse a batch that needs more memory than is free; several workers are not checked."""
    if group.size() > 1:
        return

    def train_on(samples: int) -> object:
        part = replace(task, train=task.train.head(samples))
        return new_walk(settings | {"batch_size": samples}, part).advance(1)

    BatchMemory(str(settings["engine"]), train_on).require(
        clamped(settings["batch_size"], len(task.train)),
        instead="choose a smaller --batch-size, close other programs, or add --force",
    )


def new_walk(settings: Settings, task: Task) -> Walk:
    """Make a run that is ready for its first step."""
    generator = torch.Generator().manual_seed(int(settings["seed"]))
    engine = new_engine(settings, task)
    return Walk(engine, task.train, int(settings["batch_size"]), generator=generator)


def new_engine(settings: Settings, task: Task) -> Engine:
    """Build a fresh network and its engine."""
    rate = float(settings["learning_rate"])
    seed = int(settings["seed"])
    return engines.new(str(settings["engine"]), task, seed=seed, learning_rate=rate)


def print_epochs(walk: Walk, epochs: int, keeper: Keeper | None) -> None:
    """Train up to epoch `epochs`, print each epoch, and show progress within it on a terminal."""
    console, task = Console(), walk.engine.task
    columns = TextColumn("epoch"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    is_hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=is_hidden) as progress:
        bar = progress.add_task("epoch", total=walk.steps_per_epoch)

        def show(steps: int) -> None:
            progress.advance(bar, steps)

        for report in fit(walk, task.test, epochs=epochs, keeper=keeper, watch=show):
            console.print(epoch_line(report, task.score_name), highlight=False, soft_wrap=True)
            group.wait_for_all()  # the first worker may still be writing checkpoints
            progress.reset(bar)


def run_line(settings: Settings) -> str:
    """Describe the run in one line."""
    threads = torch.get_num_threads()
    return (
        f"{settings['data']}, {settings['engine']} engine, batch size {settings['batch_size']}, "
        f"learning rate {settings['learning_rate']:g}, seed {settings['seed']}, "
        f"{threads} thread{'s' * (threads != 1)}"
        + (f" in each of {group.size()} workers" if group.size() > 1 else "")
    )


def epoch_line(report: EpochReport, score_name: str) -> str:
    """Describe one epoch as the question's author printed it."""
    return (
        f"epoch {report.epoch:3d}  train loss {report.train_loss:.4f}  "
        f"test loss {report.test_loss:.4f}  {score_name} {report.test_score:.4f}  "
        f"{report.seconds:.2f} s"
    )
