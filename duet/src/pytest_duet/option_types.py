"""Types of option values, each with its error message."""

import argparse
import math
from contextlib import suppress
from pathlib import Path


def count(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def share(text: str) -> float:
    """Parse a share above 0 and at most 1, written as 5% or 0.05."""
    with suppress(ValueError):
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        if 0 < value <= 1:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 5% or 0.05")


def above_zero(text: str) -> float:
    """Parse a finite number above 0."""
    with suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def folder(text: str) -> Path:
    """Parse the path of a folder that exists."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder that exists")
    return Path(text)


def output_file(text: str) -> Path:
    """Parse the path of a file to write, in a folder that exists."""
    file = Path(text)
    if file.is_dir() or not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file in a folder that exists")
    return file
