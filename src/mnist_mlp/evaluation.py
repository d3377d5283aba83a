"""Loss and accuracy of a network on a split."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mnist_mlp import device
from mnist_mlp.batches import share
from mnist_mlp.data import Split
from mnist_mlp.workers import group

CACHE_SIZED_BATCH = 2_000  # whose activations, 2 MB, stay in the processor's cache


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Averages over the samples of a split."""

    loss: float  # cross entropy
    accuracy: float  # fraction of samples, 0 to 1


@torch.no_grad()
def evaluate(network: Callable[[Tensor], Tensor], split: Split) -> Evaluation:
    """Average over the whole split; the network is left as it was.

    Workers of a group evaluate a share each, and all of them get the averages.

    Args:
        network: from images, (B, 784), to logits, (B, 10), such as `Engine.logits`.
        split: N samples.

    """
    # The sum of losses, and how many samples are correct: a whole number, exact in float64.
    sums = torch.zeros(2, dtype=torch.float64, device=split.labels.device)
    own = share(len(split), group.rank(), group.size())
    parts = (each[own].split(CACHE_SIZED_BATCH) for each in (split.images, split.labels))
    for images, labels in zip(*parts, strict=True):
        logits = network(images)  # (B, 10)
        with device.threads(1):  # more threads would not be faster on so few numbers
            sums[0] += cross_entropy(logits, labels, reduction="sum")
            sums[1] += (logits.argmax(dim=1) == labels).sum()
    loss, accuracy = (group.add_up(sums) / len(split)).tolist()
    return Evaluation(loss=loss, accuracy=accuracy)
