"""The eager step in torch's own wrapper for several workers, as a torch user would write it."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from mnist_mlp import device
from mnist_mlp.engines.shared import Shared
from mnist_mlp.workers import group


class Ddp(Shared):
    """DistributedDataParallel: autograd, an exchange during the backward pass, and SGD.

    DistributedDataParallel averages over workers; a loss times their number, over the samples of
    the whole batch, makes that the mean over samples, whatever each worker's share is.
    """

    name = "ddp"

    def __init__(
        self, network: nn.Module, *, learning_rate: float, precision: str = "float32"
    ) -> None:
        super().__init__(network, learning_rate=learning_rate, precision=precision)
        self.optimizer = torch.optim.SGD(self.parameters, lr=learning_rate)
        self._wrapped = network
        if group.size() > 1:
            gpus = [self.device] if device.is_gpu(self.device) else None
            with group.exchanging():
                self._wrapped = DistributedDataParallel(network, device_ids=gpus)

    def step_on_share(self, images: Tensor, labels: Tensor, samples: int) -> Tensor:  # noqa: D102
        self.optimizer.zero_grad()
        loss = cross_entropy(self._wrapped(images), labels, reduction="sum") / samples
        with group.exchanging():
            (loss * group.size()).backward()
        self.optimizer.step()
        return loss.detach()
