"""Samples to train and test on: as tensors in memory, and as a torchvision dataset."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset, Subset

PIXELS = 28 * 28
CLASSES = 10


@dataclass(frozen=True, kw_only=True)
class Split:
    """N samples in two forms: tensors in memory, and a dataset that serves one sample at a time."""

    images: Tensor  # (N, 784) float32 in [0, 1]
    labels: Tensor  # (N,) int64, 0 to 9
    new_dataset: Callable[[], Dataset[Any]]  # makes the second form, which few engines need

    @cached_property
    def dataset(self) -> Dataset[Any]:
        """N pairs of a (1, 28, 28) float32 tensor and an int."""
        return self.new_dataset()

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, samples: int) -> "Split":
        """The first `samples` samples, all of them if there are fewer."""
        return self._part(0, min(samples, len(self)))

    def tail(self, samples: int) -> "Split":
        """The last `samples` samples, all of them if there are fewer."""
        return self._part(max(0, len(self) - samples), len(self))

    def _part(self, first: int, end: int) -> "Split":
        return Split(
            images=self.images[first:end],
            labels=self.labels[first:end],
            new_dataset=lambda: Subset(self.dataset, range(first, end)),
        )


@dataclass(frozen=True, kw_only=True)
class Data:
    """A training set and a test set."""

    name: str  # "MNIST", "FashionMNIST" or "KMNIST"
    train: Split
    test: Split
