"""Types of command-line values for the gate, which reject a bad value with one sentence."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

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


def at_least(least: int) -> Callable[[str], int]:
    """Parse a whole number that is no smaller."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return parse


count = at_least(1)


def percentage(text: str) -> float:
    """Parse a share above 0 and at most 1, written as 5% or 0.05."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 5% or 0.05")
    return value


def seconds(text: str) -> float:
    """Parse a time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def folder(text: str) -> Path:
    """Parse a folder that exists."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return Path(text)


def output_file(text: str) -> Path:
    """Parse a file in a folder that exists."""
    file = Path(text)
    if file.is_dir() or not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no file in a folder that exists")
    return file


def listed(values: Iterable[object]) -> str:
    """Write values as the command line takes them."""
    return ",".join(map(str, values))
