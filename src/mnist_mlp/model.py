"""The question's network: two linear layers, 784-256-10, with a sigmoid between them."""

import torch
from torch import Tensor, nn

from mnist_mlp.data import CLASSES, PIXELS

HIDDEN = 256

PARAMETERS = PIXELS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES


class MLP(nn.Module):
    """Two linear layers: (B, 784) pixels to (B, 10) logits, initialised as torch.nn.Linear does.

    The parameters depend on `seed` alone: the global random state is left as it was.
    """

    def __init__(self, *, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.hidden = nn.Linear(PIXELS, HIDDEN)
            self.output = nn.Linear(HIDDEN, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, 10), of images, (B, 784)."""
        return self.output(torch.sigmoid(self.hidden(images)))  # type: ignore[no-any-return]
