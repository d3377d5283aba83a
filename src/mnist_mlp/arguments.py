"""Command-line options that several commands share, and types for their values.

A type rejects a bad value with one sentence. This module imports torch only to check a device.
"""

import argparse
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mnist_mlp import cache, engines

LARGEST = 2**31 - 1


def whole_number(text: str) -> int:
    """Parse a whole number of at least 1: a batch size, a budget."""
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {LARGEST}")
    return int(text)


def threads(text: str) -> int:
    """Parse a thread count that this machine has cores for."""
    count, cores = whole_number(text), os.cpu_count() or 1
    if count > cores:
        raise argparse.ArgumentTypeError(
            f"{count} threads on {cores} cores: ask for {cores} or fewer"
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
    from mnist_mlp.device import available  # noqa: PLC0415 - torch takes seconds to import

    if text not in available():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not available here: use {' or '.join(available())}"
        )
    return text


def number(text: str) -> float:
    """Parse a number; other text gives NaN, which lies in no range."""
    try:
        return float(text)
    except ValueError:
        return math.nan


# Each option, and its keyword arguments to argparse's add_argument or to pytest's addoption.
OPTIONS: dict[str, dict[str, Any]] = {
    "--engine": {
        "choices": tuple(engines.ENGINES),
        "help": "loader: torchvision dataset and DataLoader, as in the question; eager: resident "
        "tensors; compiled: the same through torch.compile, which needs a C++ compiler and some "
        "seconds before the first epoch; native: the fastest form of a step on this CPU; "
        "ddp: for the processes of torchrun, where it is the default "
        "(default: %(default)s)",
    },
    "--lr": {"type": positive_number, "help": "learning rate (default: %(default)s)"},
    "--threads": {"type": threads, "help": "that torch computes with (default: torch's own)"},
    "--device": {
        "type": device,
        "default": "cpu",
        "help": "cpu, cuda or cuda:N (default: %(default)s)",
    },
    "--data-root": {"type": Path, "help": "a data set in torchvision's layout instead of MNIST"},
    "--force": {
        "action": "store_true",
        "help": "start although memory will not suffice, by a prediction",
    },
    "--cache-dir": {
        "type": Path,
        "help": f"for the unpacked MNIST (or set {cache.CACHE_VARIABLE})",
    },
}


def add(
    add_option: Callable[..., object],
    *flags: str,
    options: Mapping[str, dict[str, Any]] = OPTIONS,
    **overrides: Any,
) -> None:
    """Add some of `options` to a parser, all of them with these `overrides`."""
    for flag in flags:
        add_option(flag, **options[flag] | overrides)
