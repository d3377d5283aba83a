"""The two large products of a step, by the libraries that come with torch."""

from functools import cache

import torch
from torch import Tensor


class Products:
    """torch's own choice. The update is part of a product: no gradient is written to memory."""

    name = "torch"

    def sums(self, bias: Tensor, images: Tensor, weight: Tensor) -> Tensor:
        """Return bias + images @ weight, (B, 256), of images, (B, 784), and weight, (784, 256)."""
        return torch.addmm(bias, images, weight)

    def descend(self, weight: Tensor, images: Tensor, descents: Tensor) -> None:
        """Subtract images' @ descents from the weight."""
        weight.addmm_(images.t(), descents, alpha=-1)


class OneDnn(Products):
    """oneDNN, which torch does not use for float32, but which is faster on some processors.

    Its operator is private to torch, and may be missing.
    """

    name = "oneDNN"

    def sums(self, bias: Tensor, images: Tensor, weight: Tensor) -> Tensor:  # noqa: D102
        return self._product(images, weight.t(), bias)

    def descend(self, weight: Tensor, images: Tensor, descents: Tensor) -> None:  # noqa: D102
        weight.sub_(self._product(images.t(), descents.t(), None))

    def _product(self, a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
        operator = torch.ops.mkldnn._linear_pointwise.default  # noqa: SLF001 - no public one
        return operator(a, b, bias, "none", [], "")  # type: ignore[no-any-return]


@cache
def available() -> tuple[Products, ...]:
    """Return the products that this build and this processor have, torch's own first."""
    weight, images, bias = torch.ones(8, 4), torch.arange(16.0).view(2, 8), torch.ones(4)
    default, one_dnn = Products(), OneDnn()
    try:
        actual, expected = (each.sums(bias, images, weight) for each in (one_dnn, default))
        is_right = torch.allclose(actual, expected)
    except (AttributeError, RuntimeError):  # missing, changed, or not for this processor
        return (default,)
    return (default, one_dnn) if is_right else (default,)
