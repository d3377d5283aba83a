"""Turns: what is compared takes turns, in an order drawn anew for each round.

A busy minute of the machine then affects all of it, and nothing always follows the same neighbour.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy.stats import quantile_test

T = TypeVar("T")


class Draw:
    """Draws orders, the same ones for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - an order keeps no secret

    def below(self, end: int) -> int:
        """Draw a whole number from 0 to before the end."""
        return self._random.randrange(end)

    def rounds(self, items: Sequence[T], count: int) -> Iterator[tuple[int, T]]:
        """Yield each item once per round, with the round's number from 1."""
        for number in range(1, count + 1):
            for item in self._random.sample(items, len(items)):
                yield number, item

    def turns(
        self, items: Sequence[T], turn: Callable[[T], float], rounds: int
    ) -> dict[T, list[float]]:
        """Let each item take a turn per round; return the seconds of its turns in order."""
        seconds: dict[T, list[float]] = {item: [] for item in items}
        for _, item in self.rounds(items, rounds):
            seconds[item].append(turn(item))
        return seconds


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio of seconds: the median over turns, and the interval that covers it."""

    ratio: float
    low: float
    high: float


def paired(seconds: Sequence[float], beside: Sequence[float], *, confidence: float) -> Ratio:
    """Return the median over turns of the ratio of `seconds` to `beside`.

    The interval is that of the sign test, which assumes only that turns are independent. It is
    infinite if there are too few turns for the confidence.
    """
    log_ratios = np.log(seconds) - np.log(beside)
    median = float(np.median(log_ratios))
    interval: Any = quantile_test(log_ratios, q=median).confidence_interval(confidence)
    low, high = float(interval.low), float(interval.high)
    return Ratio(ratio=float(np.exp(median)), low=float(np.exp(low)), high=float(np.exp(high)))
