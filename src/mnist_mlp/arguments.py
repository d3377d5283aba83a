"""Text on a command line to values, refused in a sentence where it makes no sense."""

import argparse
import math

import torch


def whole_number(text: str) -> int:
    """A whole number of at least 1: a batch size, a budget, a thread count."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


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


def seed(text: str) -> int:
    """A whole number that torch takes as a seed."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**63 - 1")
    return int(text)


def device(text: str) -> str:
    """A device that this machine, and this build of torch, has."""
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not available here: use cpu, or cuda where there is a GPU"
        ) from error
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
