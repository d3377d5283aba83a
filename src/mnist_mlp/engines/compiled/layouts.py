"""The hidden layer's products for a few samples, as sums that a compiler fuses.

A library's product of thin matrices takes longer than reading the weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor


def total(terms: Iterable[Tensor]) -> Tensor:
    """Add tensors term by term: a compiler fuses this, but no sum over a dimension."""
    return reduce(torch.add, terms)


class Layout(ABC):
    """How the hidden weight, (256, 784), is stored while steps are taken."""

    @staticmethod
    @abstractmethod
    def stored(weight: Tensor) -> Tensor:
        """The weight in this layout."""

    @staticmethod
    @abstractmethod
    def restore(weight: Tensor, stored: Tensor) -> None:
        """Copy what is stored back into `weight`."""

    @staticmethod
    @abstractmethod
    def sums(stored: Tensor, images: Tensor) -> Tensor:
        """W x of each of (B, 784) images: (B, 256)."""

    @staticmethod
    @abstractmethod
    def descend(stored: Tensor, descent: Tensor, images: Tensor) -> None:
        """Subtract the sum over samples of descent x', from (B, 256) and (B, 784)."""


class Rows(Layout):
    """As torch stores it: one pass over it makes an update and the next step's sums."""

    @staticmethod
    def stored(weight: Tensor) -> Tensor:  # noqa: D102
        return weight

    @staticmethod
    def restore(weight: Tensor, stored: Tensor) -> None:  # noqa: D102
        pass

    @staticmethod
    def sums(stored: Tensor, images: Tensor) -> Tensor:  # noqa: D102
        return torch.stack([(stored * image).sum(1) for image in images])

    @staticmethod
    def descend(stored: Tensor, descent: Tensor, images: Tensor) -> None:  # noqa: D102
        samples = zip(descent, images, strict=True)
        stored.sub_(total(slope[:, None] * image for slope, image in samples))


class Columns(Layout):
    """Transposed: sums run along all 256 units at once, and an update along a column of pixels."""

    @staticmethod
    def stored(weight: Tensor) -> Tensor:  # noqa: D102
        return weight.t().contiguous()

    @staticmethod
    def restore(weight: Tensor, stored: Tensor) -> None:  # noqa: D102
        weight.copy_(stored.t())

    @staticmethod
    def sums(stored: Tensor, images: Tensor) -> Tensor:  # noqa: D102
        return torch.stack([(stored * image[:, None]).sum(0) for image in images])

    @staticmethod
    def descend(stored: Tensor, descent: Tensor, images: Tensor) -> None:  # noqa: D102
        samples = zip(descent, images, strict=True)
        stored.sub_(total(slope * image[:, None] for slope, image in samples))
