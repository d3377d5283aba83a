"""Command-line options of the trainer, options shared by all commands, and types of their values.

A type rejects a bad value with one sentence. Nothing here imports torch, except to check a GPU.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_mlp import cache, engines, memory

LARGEST = 2**31 - 1

Option = dict[str, Any]  # keyword arguments of argparse's add_argument, or of pytest's addoption


def whole_number(text: str) -> int:
    """Parse a whole number of at least 1: a batch size, a budget."""
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {LARGEST}")
    return int(text)


def threads(text: str) -> int:
    """Parse a thread count that this process has cores for."""
    count, cores = whole_number(text), memory.usable_cores()
    if count > cores:
        raise argparse.ArgumentTypeError(
            f"{count} threads on {cores} usable cores: ask for {cores} or fewer"
        )
    return count


def positive_number(text: str) -> float:
    """Parse a finite number above 0: a learning rate."""
    value = number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def seed(text: str) -> int:
    """Parse a whole number that torch takes as a seed."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**63 - 1")
    return int(text)


def device(text: str) -> str:
    """Parse cpu, or a GPU that this machine and this build of torch have."""
    if text != "cpu":
        from mnist_mlp.device import available  # noqa: PLC0415 - torch takes seconds to import

        if text not in available():
            raise argparse.ArgumentTypeError(
                f"{text!r} is not available here: use {' or '.join(available())}"
            )
    return text


def task(text: str) -> str:
    """Parse the place of a task: FILE.py, FILE.py:NAME or MODULE:NAME."""
    place, _ = place_of_task(text)
    if place.endswith(".py") and not Path(place).is_file():
        raise argparse.ArgumentTypeError(f"{text!r} names no file: give FILE.py or MODULE:NAME")
    if place == text and not place.endswith(".py"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a task: give FILE.py or MODULE:NAME")
    return text


def place_of_task(text: str) -> tuple[str, str]:
    """Split FILE.py:NAME or MODULE:NAME into place and name; without :NAME it is `task`."""
    place, _, name = text.rpartition(":")
    return (place, name) if place and name.isidentifier() else (text, "task")


def number(text: str) -> float:
    """Parse a number; other text gives NaN, which lies in no range."""
    try:
        return float(text)
    except ValueError:
        return math.nan


# Options that all commands share.
OPTIONS: dict[str, Option] = {
    "--threads": {
        "type": threads,
        "metavar": "N",
        "help": "threads that torch computes with (default: torch's own)",
    },
    "--device": {
        "type": device,
        "default": "cpu",
        "metavar": "NAME",
        "help": "device to train on: cpu, cuda or cuda:N (default: cpu)",
    },
    "--task": {
        "type": task,
        "metavar": "FILE.py",
        "help": "train the network of this file, which defines `task`, instead of the MNIST "
        "network (docs/your-network.md); FILE.py:NAME and MODULE:NAME name a task of another name",
    },
    "--data-root": {
        "type": Path,
        "metavar": "FOLDER",
        "help": "a data set in torchvision's layout instead of MNIST",
    },
    "--cache-dir": {
        "type": Path,
        "metavar": "FOLDER",
        "help": f"folder for the unpacked MNIST (or set {cache.CACHE_VARIABLE})",
    },
    "--force": {
        "action": "store_true",
        "help": "start even if the forecast says that memory will not suffice",
    },
}
# The options of python -m mnist_mlp.
TRAINER: dict[str, Option] = {
    "--batch-size": {
        "type": whole_number,
        "default": 64,
        "metavar": "B",
        "help": "samples per step (default: %(default)s, or the task's)",
    },
    "--epochs": {
        "type": whole_number,
        "default": 10,
        "metavar": "N",
        "help": "epochs of the whole run, those before --resume included (default: %(default)s)",
    },
    "--engine": {
        "choices": tuple(engines.ENGINES),
        "default": "eager",
        "help": "loader: dataset and DataLoader; eager: resident "
        "tensors; compiled: the same through torch.compile, which needs a C++ compiler and some "
        "seconds before the first epoch; native: the MNIST network in the form that is "
        "fastest on this CPU; ddp: for the processes of torchrun, where it is the default "
        "(default: %(default)s)",
    },
    "--lr": {
        "dest": "learning_rate",
        "type": positive_number,
        "default": 0.1,
        "metavar": "RATE",
        "help": "learning rate (default: %(default)s, or the task's)",
    },
    "--seed": {
        "type": seed,
        "default": 0,
        "metavar": "N",
        "help": "seed of the network and the shuffling (default: %(default)s)",
    },
    **OPTIONS,
    "--checkpoints": {
        "type": Path,
        "default": Path("checkpoints"),
        "help": "folder for checkpoints (default: %(default)s)",
    },
    "--resume": {
        "type": Path,
        "metavar": "FILE",
        "help": "continue the run of this checkpoint",
    },
}
# A resumed run keeps its own values of these settings, unless the option is given.
RESUMED = {
    "engine": "--engine",
    "batch_size": "--batch-size",
    "learning_rate": "--lr",
    "seed": "--seed",
}


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the trainer's command line; an option in `RESUMED` that is not given is None."""
    parser = argparse.ArgumentParser(
        prog="python -m mnist_mlp",
        description="Train the 784-256-10 sigmoid network on MNIST with plain SGD, or a task of "
        "your own, and print each epoch's losses, test accuracy and training seconds. Under "
        "torchrun, the processes that it starts share each batch.",
        epilog="Every epoch writes CHECKPOINTS/NAME.last.pt, and CHECKPOINTS/NAME.best.pt when the "
        "test loss is the lowest so far; NAME lists the settings. --resume continues from either.",
    )
    for flag, option in TRAINER.items():
        parser.add_argument(flag, **option)
    return parser.parse_args(words, argparse.Namespace(**dict.fromkeys(RESUMED)))
