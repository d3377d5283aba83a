"""The eager step in torch's own wrapper for several workers, as a torch user would write it."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from mnist_mlp import device
from mnist_mlp.batches import check_batch_size, share
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import GATHERED_SAMPLES, Engine
from mnist_mlp.workers import group


class Ddp(Engine):
    """DistributedDataParallel: autograd, an exchange during the backward pass, and SGD.

    Workers share each batch, and each computes on its part of the samples. Every worker calls the
    same methods in the same order, with the same arguments, so all of them hold the same network
    and know the same losses.

    DistributedDataParallel averages over workers; a loss times their number, over the samples of
    the whole batch, makes that the mean over samples, whatever each worker's share is.
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
        losses = [
            self._step_on_share(*batch)
            for batch in own_parts(split, order.to(self.device), check_batch_size(batch_size))
        ]
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


def own_parts(split: Split, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Yield this worker's images and labels of each batch, and the samples of the whole batch."""
    batches_at_once = max(1, GATHERED_SAMPLES // batch_size)
    for samples in order.split(batches_at_once * batch_size):
        short = len(samples) % batch_size
        whole = len(samples) - short
        for part, size in ((samples[:whole], batch_size), (samples[whole:], short)):
            own = share(size, group.rank(), group.size())
            batches = part.view(-1, max(1, size))[:, own]  # (batches, samples of the share)
            images = split.images.index_select(0, batches.flatten())
            labels = split.labels.index_select(0, batches.flatten())
            shape = batches.shape
            yield from (
                (*batch, size)
                for batch in zip(
                    images.view(*shape, images.shape[1]), labels.view(shape), strict=True
                )
            )
