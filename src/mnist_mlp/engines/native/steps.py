"""The parameters and samples of steps, and the interface of a form of a step."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

# If rows are 1 KB apart, a few columns of all rows compete for a few places in a cache. Rows that
# are 9 times 128 bytes apart use all places.
ROW_NUMBERS = 288


class Parameters(NamedTuple):
    """Views of the network's parameters, which autograd does not track."""

    hidden_weight: Tensor  # (784, 256), transposed, in wide rows: a row per pixel
    hidden_bias: Tensor  # (256,)
    output_weight: Tensor  # (10, 256)
    output_bias: Tensor  # (10,)

    def clone(self) -> "Parameters":
        """Copy every tensor."""
        hidden_weight, *rest = self
        return Parameters(in_wide_rows(hidden_weight), *(tensor.clone() for tensor in rest))


def in_wide_rows(matrix: Tensor) -> Tensor:
    """Copy a matrix of up to 288 columns so that its rows are 1,152 bytes apart."""
    rows = torch.empty(len(matrix), ROW_NUMBERS)[:, : matrix.shape[1]]
    rows.numpy()[...] = matrix.numpy()  # torch's threads would spin on, and slow the first steps
    return rows


class Steps(NamedTuple):
    """Steps to take: over which samples, how many in each, at what rate."""

    images: Tensor  # (N, 784) float32
    labels: Tensor  # (N,) int64
    order: Tensor  # (n,) int64: the samples, in turn; the last batch may be short
    batch_size: int
    learning_rate: float


class Form(ABC):
    """A way to take steps, on `threads` threads."""

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
