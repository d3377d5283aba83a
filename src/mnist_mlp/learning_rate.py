"""Rules that give the learning rate at any batch size from the rate at batch size 1."""

import math
from collections.abc import Callable

# The batch size beyond which the best rate hardly grows. A search over rates found it for this
# network on MNIST; the gradient noise scale early in training is of the same order.
NOISE_BATCH_SIZE = 20.0

Rule = Callable[[float, int], float]  # rate at batch size 1, batch size -> rate


def fixed(rate: float, batch_size: int) -> float:  # noqa: ARG001 - a rule's signature
    """The same rate at every batch size, as in the question."""
    return rate


def linear(rate: float, batch_size: int) -> float:
    """A rate in proportion to the batch size (Goyal et al. 2017, arXiv 1706.02677)."""
    return rate * batch_size


def sqrt(rate: float, batch_size: int) -> float:
    """A rate in proportion to the batch size's square root (Krizhevsky 2014, arXiv 1404.5997)."""
    return rate * math.sqrt(batch_size)


def noise_limited(rate: float, batch_size: int) -> float:
    """A rate that grows linearly while noise dominates the gradient, and then levels off.

    The best rate is lr_max / (1 + B_noise / B) (McCandlish et al. 2018, arXiv 1812.06162, eq. 2.6).
    """
    return rate * (1 + NOISE_BATCH_SIZE) / (1 + NOISE_BATCH_SIZE / batch_size)


RULES: dict[str, Rule] = {
    "fixed": fixed,
    "linear": linear,
    "sqrt": sqrt,
    "noise-limited": noise_limited,
}
