"""What every engine is: a network, and a way to train it."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from mnist_mlp.data import Split


class Engine(ABC):
    """A network, (B, 784) to (B, 10), and a way to train it with plain SGD on cross entropy."""

    def __init__(self, network: nn.Module, *, learning_rate: float) -> None:
        self.network = network
        self.learning_rate = learning_rate
        self.parameters: list[Tensor] = list(network.parameters())
        self.device = self.parameters[0].device

    @abstractmethod
    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Update once on a batch, (B, 784) and (B,); its mean loss before the update, a scalar."""

    @abstractmethod
    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:
        """Take the steps over the samples that `order`, (n,) int64, names, the last batch short.

        Returns the mean loss of each batch before its update: (steps,) float32.

        Raises:
            TypeError, ValueError: not a batch size; nothing was trained.

        """
