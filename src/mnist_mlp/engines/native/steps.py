"""What the forms of a step share: the steps to take, the parameters, and the middle of a step."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor


class Parameters(NamedTuple):
    """Views of the network's parameters, which autograd does not follow."""

    hidden_weight: Tensor  # (784, 256), transposed: a row is a pixel
    hidden_bias: Tensor  # (256,)
    output_weight: Tensor  # (10, 256)
    output_bias: Tensor  # (10,)

    def clone(self) -> "Parameters":
        """Copy every tensor."""
        return Parameters(*(tensor.clone() for tensor in self))


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Steps to take: over which samples, how many in each, at what rate."""

    images: Tensor  # (N, 784) float32
    labels: Tensor  # (N,) int64
    order: Tensor  # (n,) int64: the samples, in turn; the last batch may be short
    batch_size: int
    learning_rate: float


class Take(Protocol):
    """A form of a step."""

    def __call__(self, steps: Steps, parameters: Parameters) -> Tensor:
        """Take the steps, update the parameters, and return the losses: (steps,) float32."""


class Middle(Protocol):
    """All of a step but the two large products, on a block of a batch."""

    def __call__(self, hidden: Tensor, labels: Tensor, scale: float, *, is_last: bool) -> float:
        """Return the sum of the samples' losses, and descend all but the hidden weight.

        Args:
            hidden: the hidden sums, (B, 256); turned to descents at them.
            labels: (B,) int64.
            scale: the learning rate over the samples of the batch.
            is_last: whether the batch ends here.

        """
