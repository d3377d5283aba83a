"""Loss and score of an engine's network on a split."""

import math
from dataclasses import dataclass

import torch

from mnist_mlp import device
from mnist_mlp.batches import share
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.workers import group

CACHE_SIZED_BATCH = 500  # samples; their activations mostly stay in the processor's cache
LOWEST_SCORE = -1e9  # replaces a score that is not finite, which JSON cannot hold
EXACT_DIGITS = 12  # rounding makes a mean of means exact: 1,900 of 2,000 are 0.95


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Averages over the samples of a split."""

    loss: float
    score: float  # such as accuracy, 0 to 1


@torch.no_grad()
def evaluate(engine: Engine, split: Split) -> Evaluation:
    """Average loss and score over the whole split; the network stays as it was.

    Each worker of a group evaluates a share, and all workers get the averages.
    """
    task, network = engine.task, engine.network
    sums = torch.zeros(2, dtype=torch.float64, device=split.device)  # losses, scores
    own = split.part(share(len(split), group.rank(), group.size()))
    is_training = network.training
    network.eval()
    for inputs, targets in own.batches(CACHE_SIZED_BATCH):
        outputs = engine.outputs(inputs)
        with device.threads(1):  # more threads would not be faster on so few numbers
            sums[0] += len(targets) * task.loss(outputs, targets).double()
            sums[1] += len(targets) * float(task.score(outputs, targets))
    network.train(is_training)
    loss, score = (group.add_up(sums) / len(split)).tolist()
    score = round(score, EXACT_DIGITS) if math.isfinite(score) else LOWEST_SCORE
    return Evaluation(loss=loss, score=score)
