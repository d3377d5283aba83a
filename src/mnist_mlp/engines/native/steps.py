"""What steps are taken on, and what a form of a step can do."""

from abc import ABC, abstractmethod
from typing import NamedTuple

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


class Steps(NamedTuple):
    """Steps to take: over which samples, how many in each, at what rate."""

    images: Tensor  # (N, 784) float32
    labels: Tensor  # (N,) int64
    order: Tensor  # (n,) int64: the samples, in turn; the last batch may be short
    batch_size: int
    learning_rate: float


class Form(ABC):
    """A way to take steps, on so many threads."""

    threads: int

    @property
    @abstractmethod
    def name(self) -> str:
        """The form's name, without its threads."""

    @abstractmethod
    def take(self, steps: Steps, parameters: Parameters) -> Tensor:
        """Take the steps, update the parameters, and return the losses: (steps,) float32."""

    @abstractmethod
    def predict(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Return the logits, (N, 10), of images, (N, 784)."""
