"""Command-line options that commands of bench share, and types for their values."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bench import cases
from mnist_mlp import arguments, engines
from mnist_mlp.learning_rate import RULES

Value = TypeVar("Value")


def several(parse: Callable[[str], Value]) -> Callable[[str], tuple[Value, ...]]:
    """Parse values separated by commas, each given once."""

    def parse_all(text: str) -> tuple[Value, ...]:
        values = tuple(parse(word.strip()) for word in text.split(","))
        if len(set(values)) < len(values):
            raise argparse.ArgumentTypeError(f"{text!r} names a value twice")
        return values

    return parse_all


def one_of(kind: str, names: Sequence[str]) -> Callable[[str], str]:
    """Parse one of these names, of engines for instance."""

    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no {kind}: choose from {', '.join(names)}"
            )
        return text

    return parse


def fraction(text: str) -> float:
    """A number above 0 and at most 1: an accuracy."""
    value = arguments.number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a fraction above 0 and at most 1, such as 0.95"
        )
    return value


def percentage(text: str) -> float:
    """A share above 0 and at most 1, written as 5% or 0.05."""
    value = arguments.number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 5% or 0.05")
    return value


def folder(text: str) -> Path:
    """A folder that exists."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return Path(text)


def output_file(text: str) -> Path:
    """A file in a folder that exists."""
    file = Path(text)
    if file.is_dir() or not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no file in a folder that exists")
    return file


def listed(values: Iterable[object]) -> str:
    """Write values as the command line takes them."""
    return ",".join(map(str, values))


OPTIONS: dict[str, dict[str, Any]] = arguments.OPTIONS | {
    "--batch-sizes": {"type": several(arguments.whole_number), "metavar": "B,B,..."},
    "--engines": {
        "type": several(one_of("engine", tuple(engines.ENGINES))),
        "metavar": "NAME,...",
    },
    "--lr": {
        "type": arguments.positive_number,
        "default": cases.LEARNING_RATE,
        "help": "learning rate at batch size 1 (default: %(default)s)",
    },
    "--lr-rules": {
        "type": several(one_of("learning rate rule", tuple(RULES))),
        "default": cases.LR_RULES,
        "metavar": "NAME,...",
        "help": "rules for the rate at other batch sizes, for time to target: "
        f"{', '.join(RULES)} (default: {listed(cases.LR_RULES)})",
    },
    "--target-accuracy": {
        "type": fraction,
        "default": cases.TARGET_ACCURACY,
        "help": "of the test set, that training must reach (default: %(default)s)",
    },
    "--max-epochs": {
        "type": arguments.whole_number,
        "default": cases.MAX_EPOCHS,
        "help": "that a run may take to reach it (default: %(default)s)",
    },
    "--seeds": {
        "type": several(arguments.seed),
        "default": cases.SEEDS,
        "metavar": "N,N,...",
        "help": f"a run to the target each (default: {listed(cases.SEEDS)})",
    },
}

add = partial(arguments.add, options=OPTIONS)
