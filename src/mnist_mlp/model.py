"""The question's network and optimizer."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mnist_mlp.data import CLASSES, PIXELS

HIDDEN = 256

PARAMETERS = PIXELS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES


class MLP(nn.Module):
    """Two linear layers, 784-256-10, with a sigmoid between them."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(PIXELS, HIDDEN)
        self.output = nn.Linear(HIDDEN, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (B, 10), of images, (B, 784) or (B, 1, 28, 28)."""
        pixels = images.flatten(start_dim=1)
        return self.output(torch.sigmoid(self.hidden(pixels)))  # type: ignore[no-any-return]


def sgd(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.SGD:
    """Return the optimizer of plain stochastic gradient descent."""
    return torch.optim.SGD(parameters, lr=learning_rate)
