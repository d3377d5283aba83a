"""What every engine has: a network, and a way to train it."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from mnist_mlp.batches import clamped
from mnist_mlp.data import Split
from mnist_mlp.errors import UserError

GATHERED_SAMPLES = 1024  # of small batches that are gathered together: 3 MB of images


class UnavailableError(UserError):
    """An engine cannot train here: what it needs is missing."""


class Engine(ABC):
    """A network, (B, 784) to (B, 10), and a way to train it with plain SGD on cross entropy.

    An engine that cannot train here raises UnavailableError when it is made or prepared.
    """

    name: ClassVar[str]  # in the registry
    is_resident: ClassVar[bool] = True  # trains on a split's tensors, not on its dataset
    is_shared: ClassVar[bool] = False  # trains together with the other workers of a group

    def __init__(self, network: nn.Module, *, learning_rate: float) -> None:
        self.network = network
        self.learning_rate = learning_rate
        self.parameters: list[Tensor] = list(network.parameters())
        self.device = self.parameters[0].device
        # The form of the last steps, if the engine has several.
        self.form: str | None = None
        self.form_threads: int | None = None

    def prepare(self, batch_size: int, split: Split) -> float:
        """Do what would delay the first batch of this size: compile, or choose a form of a step.

        Returns the seconds that it took.
        """
        clamped(batch_size, len(split))
        return 0.0

    def logits(self, images: Tensor) -> Tensor:
        """Return the network's logits, (B, 10), of images, (B, 784)."""
        logits: Tensor = self.network(images)
        return logits

    @abstractmethod
    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Update once on a batch, (B, 784) and (B,); return its mean loss before that, a scalar."""

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:
        """Take steps over the samples that `order`, (n,) int64, lists; the last batch may be short.

        Returns the mean loss of each batch before its update: (steps,) float32.
        """
        batch_size = clamped(batch_size, len(split))
        batches_at_once = max(1, GATHERED_SAMPLES // batch_size)
        losses = []
        for samples in order.to(self.device).split(batches_at_once * batch_size):
            # index_select is three times as fast as images[samples].
            images = split.images.index_select(0, samples).split(batch_size)
            labels = split.labels.index_select(0, samples).split(batch_size)
            losses += [self.step(*batch) for batch in zip(images, labels, strict=True)]
        return torch.stack(losses)
