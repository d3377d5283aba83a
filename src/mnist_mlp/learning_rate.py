"""Rules from batch size to learning rate, each told by its rate at batch size 1."""

import math
from collections.abc import Callable

# Samples beyond which more of them in a step hardly allow a higher rate: for this network on
# MNIST, found by a search over rates; the noise scale early in training is of this order.
NOISE_BATCH_SIZE = 20.0

Rule = Callable[[float, int], float]  # rate at batch size 1, batch size -> rate


def fixed(rate: float, batch_size: int) -> float:  # noqa: ARG001 - a rule's signature
    """The same at every batch size, as the question had it."""
    return rate


def linear(rate: float, batch_size: int) -> float:
    """In proportion to the batch size (Goyal et al. 2017, arXiv 1706.02677)."""
    return rate * batch_size


def sqrt(rate: float, batch_size: int) -> float:
    """In proportion to its square root (Krizhevsky 2014, arXiv 1404.5997)."""
    return rate * math.sqrt(batch_size)


def noise_limited(rate: float, batch_size: int) -> float:
    """Linear while noise dominates the gradient, level where it no longer does.

    The best rate is lr_max / (1 + B_noise / B) (McCandlish et al. 2018, arXiv 1812.06162, eq. 2.6).
    """
    return rate * (1 + NOISE_BATCH_SIZE) / (1 + NOISE_BATCH_SIZE / batch_size)


RULES: dict[str, Rule] = {
    "fixed": fixed,
    "linear": linear,
    "sqrt": sqrt,
    "noise-limited": noise_limited,
}
