"""The hidden layer's products for a few samples, as sums that a compiler fuses.

A library's product of thin matrices costs more than reading the weights does.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor

Weight = tuple[Tensor, ...]


def total(terms: Iterable[Tensor]) -> Tensor:
    """Add tensors up term by term, which fuses where a sum over a dimension does not."""
    return reduce(torch.add, terms)


class Layout(ABC):
    """How the hidden weight, (256, 784), is stored while steps are taken."""

    @staticmethod
    @abstractmethod
    def stored(weight: Tensor) -> Weight:
        """The weight in this layout."""

    @staticmethod
    @abstractmethod
    def restore(weight: Tensor, stored: Weight) -> None:
        """Bring `weight` up to date with what is stored."""

    @staticmethod
    @abstractmethod
    def sums(stored: Weight, images: Tensor) -> Tensor:
        """W x of each of (B, 784) images: (B, 256)."""

    @staticmethod
    @abstractmethod
    def descend(stored: Weight, descent: Tensor, images: Tensor) -> None:
        """Subtract the sum over samples of descent x', from (B, 256) and (B, 784)."""


class Rows(Layout):
    """As it is: one pass over it makes an update and the next step's sums."""

    @staticmethod
    def stored(weight: Tensor) -> Weight:  # noqa: D102
        return (weight,)

    @staticmethod
    def restore(weight: Tensor, stored: Weight) -> None:  # noqa: D102
        pass

    @staticmethod
    def sums(stored: Weight, images: Tensor) -> Tensor:  # noqa: D102
        return torch.stack([(stored[0] * image).sum(1) for image in images])

    @staticmethod
    def descend(stored: Weight, descent: Tensor, images: Tensor) -> None:  # noqa: D102
        samples = zip(descent, images, strict=True)
        stored[0].sub_(total(slope[:, None] * image for slope, image in samples))


class Columns(Layout):
    """Transposed, so that sums run along 256 units at once, in parts that a core's cache holds."""

    PARTS = 4

    @staticmethod
    def stored(weight: Tensor) -> Weight:  # noqa: D102
        return weight.t().contiguous().chunk(Columns.PARTS)

    @staticmethod
    def restore(weight: Tensor, stored: Weight) -> None:  # noqa: D102
        weight.copy_(torch.cat(stored).t())

    @staticmethod
    def sums(stored: Weight, images: Tensor) -> Tensor:  # noqa: D102
        parts = [zip(stored, image.chunk(len(stored)), strict=True) for image in images]
        return torch.stack(
            [total((part * pixels[:, None]).sum(0) for part, pixels in each) for each in parts]
        )

    @staticmethod
    def descend(stored: Weight, descent: Tensor, images: Tensor) -> None:  # noqa: D102
        for part, pixels in zip(stored, images.chunk(len(stored), 1), strict=True):
            samples = zip(descent, pixels, strict=True)
            part.sub_(total(slope * column[:, None] for slope, column in samples))
