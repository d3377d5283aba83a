"""Products of large matrices, a (m, k) and b (n, k) to a b', (m, n), and which is the fastest."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from mnist_mlp.clock import shortest_seconds
from mnist_mlp.data import PIXELS
from mnist_mlp.model import HIDDEN

Product = Callable[[Tensor, Tensor], Tensor]

TRIAL_SAMPLES = 256
TRIAL_SECONDS = 0.005
ADVANTAGE = 1.1  # a private operator must be so much faster, so that torch's own wins a tie


def float32(a: Tensor, b: Tensor) -> Tensor:
    """The product that torch chooses."""
    return a @ b.t()


def bfloat16(a: Tensor, b: Tensor) -> Tensor:
    """The product of the factors rounded to bfloat16, returned in float32."""
    return (a.bfloat16() @ b.bfloat16().t()).float()


# torch computes float32 products with MKL. On some processors oneDNN is twice as fast, but inductor
# uses it for constant weights only. Ours change, so an operator of our own calls oneDNN.
_LIBRARY = torch.library.Library("mnist_mlp", "DEF")
_LIBRARY.define("onednn(Tensor a, Tensor b) -> Tensor")
_LIBRARY.impl("onednn", lambda a, b: _private_onednn(a, b, None, "none", [], ""), "CPU")
_LIBRARY.impl("onednn", lambda a, b: a.new_empty(a.shape[0], b.shape[0]), "Meta")


def onednn(a: Tensor, b: Tensor) -> Tensor:
    """The product of oneDNN, through a private operator of torch's that may be missing."""
    return torch.ops.mnist_mlp.onednn(a, b)  # type: ignore[no-any-return]


def _private_onednn(*arguments: object) -> Tensor:
    operator = torch.ops.mkldnn._linear_pointwise.default  # noqa: SLF001 - no public one exists
    return operator(*arguments)  # type: ignore[no-any-return]


@cache
def available() -> tuple[Product, ...]:
    """The float32 products that this build and this processor have, torch's own first."""
    a, b = torch.arange(64.0).view(8, 8), torch.arange(32.0).view(4, 8)
    try:
        torch.testing.assert_close(onednn(a, b), float32(a, b))
    except (AttributeError, RuntimeError, AssertionError):  # missing, unsupported or changed
        return (float32,)
    return float32, onednn


@cache
def fastest(threads: int) -> Product:  # noqa: ARG001 - the choice holds for so many threads
    """The float32 product that is fastest on a step's shapes, by a trial of some milliseconds."""
    torch_seconds, *others = map(_trial_seconds, available())
    return available()[-1] if others and min(others) * ADVANTAGE < torch_seconds else float32


def _trial_seconds(product: Product) -> float:
    weight, images = torch.ones(HIDDEN, PIXELS), torch.ones(TRIAL_SAMPLES, PIXELS)
    return shortest_seconds(lambda: product(weight, images), for_seconds=TRIAL_SECONDS)
