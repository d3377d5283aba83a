"""Rules that give the learning rate at any batch size from the rate at another batch size."""

import math
from collections.abc import Callable

# B_noise: the batch size beyond which the best rate hardly grows (docs/reference/method.md).
TUNED_NOISE_BATCH_SIZE = 13.7  # fitted to rates tuned for accuracy 0.95 at each batch size

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


def tuned(rate: float, batch_size: int) -> float:
    """A rate that follows the rates tuned for each batch size.

    It grows linearly while noise dominates the gradient, and then levels off: lr_max /
    (1 + B_noise / B) (McCandlish et al. 2018, arXiv 1812.06162, eq. 2.6).
    """
    return rate * (1 + TUNED_NOISE_BATCH_SIZE) / (1 + TUNED_NOISE_BATCH_SIZE / batch_size)


RULES: dict[str, Rule] = {"fixed": fixed, "linear": linear, "sqrt": sqrt, "tuned": tuned}


def at(rule: str, batch_size: int, *, rate: float, own: int) -> float:
    """Return a rule's rate at a batch size; `rate` is the rate at batch size `own`."""
    return RULES[rule](rate / RULES[rule](1.0, own), batch_size)
