"""Text on a command line to values, refused in a sentence where it makes no sense."""

import argparse
import math
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

LARGEST = 2**31 - 1

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


def whole_number(text: str) -> int:
    """A whole number of at least 1: a batch size, a budget."""
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {LARGEST}")
    return int(text)


def threads(text: str) -> int:
    """A thread count that this machine has cores for."""
    count, cores = whole_number(text), os.cpu_count() or 1
    if count > cores:
        raise argparse.ArgumentTypeError(
            f"{count} threads on {cores} cores: ask for {cores} or fewer"
        )
    return count


def positive_number(text: str) -> float:
    """A finite number above 0: a learning rate."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def fraction(text: str) -> float:
    """A number above 0 and at most 1: an accuracy."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a fraction above 0 and at most 1, such as 0.95"
        )
    return value


def percentage(text: str) -> float:
    """A share above 0 and at most 1, written as 5% or 0.05."""
    value = _number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 5% or 0.05")
    return value


def seed(text: str) -> int:
    """A whole number that torch takes as a seed."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**63 - 1")
    return int(text)


def device(text: str) -> str:
    """cpu, or a GPU that this machine, and this build of torch, has."""
    from mnist_mlp.device import available  # noqa: PLC0415 - torch takes seconds to import

    if text not in available():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not available here: use {' or '.join(available())}"
        )
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
