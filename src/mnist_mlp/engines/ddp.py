"""The eager step in torch's own wrapper for several workers, as a torch user would write it."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from mnist_mlp import device
from mnist_mlp.batches import clamped, share
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.workers import group


class Ddp(Engine):
    """DistributedDataParallel: autograd, an exchange during the backward pass, and SGD.

    Workers share each batch, and each computes on its part of the samples. Every worker calls the
    same methods in the same order, with the same arguments, so all of them hold the same network
    and know the same losses.

    DistributedDataParallel averages over workers. So each worker's loss is multiplied by their
    number and divided by the samples of the whole batch, which gives the mean over samples.
    """

    name = "ddp"
    is_shared = True

    def __init__(self, network: nn.Module, *, learning_rate: float) -> None:
        super().__init__(network, learning_rate=learning_rate)
        self.optimizer = torch.optim.SGD(self.parameters, lr=learning_rate)
        self._wrapped = network
        if group.size() > 1:
            gpus = [self.device] if device.is_gpu(self.device) else None
            with group.exchanging():
                self._wrapped = DistributedDataParallel(network, device_ids=gpus)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:  # noqa: D102
        own = share(len(labels), group.rank(), group.size())
        return group.add_up(self._step_on_share(images[own], labels[own], len(labels)))

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:  # noqa: D102
        losses = []
        for batch in order.to(self.device).split(clamped(batch_size, len(split))):
            own = batch[share(len(batch), group.rank(), group.size())]
            images, labels = split.images.index_select(0, own), split.labels.index_select(0, own)
            losses.append(self._step_on_share(images, labels, len(batch)))
        return group.add_up(torch.stack(losses))

    def _step_on_share(self, images: Tensor, labels: Tensor, samples: int) -> Tensor:
        """Update once on this worker's share, (b, 784) and (b,), of a batch of so many samples.

        The share may be empty: b is 0.

        Returns the sum of the share's losses over the samples of the batch, a scalar.
        """
        self.optimizer.zero_grad()
        loss = cross_entropy(self._wrapped(images), labels, reduction="sum") / samples
        with group.exchanging():
            (loss * group.size()).backward()
        self.optimizer.step()
        return loss.detach()
