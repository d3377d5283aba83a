"""The eager step in torch's own wrapper for several workers, as a torch user would write it."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mnist_mlp import device
from mnist_mlp.batches import clamped, share
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Autograd
from mnist_mlp.task import Task
from mnist_mlp.workers import group

# Workers exchange buffers after the steps. torch 2.15 deprecates the older name of the option.
NAMES = ("forward_sync_buffers", "broadcast_buffers")
PARAMETERS = inspect.signature(DistributedDataParallel).parameters
UNSYNCHRONIZED: Any = {next(name for name in NAMES if name in PARAMETERS): False}


class Ddp(Autograd):
    """DistributedDataParallel: autograd, with an exchange during the backward pass.

    Workers share each batch, and each computes on its part of the samples. Every worker calls the
    same methods in the same order, with the same arguments, so all of them hold the same network
    and know the same losses.

    DistributedDataParallel averages over workers. So each worker's loss is multiplied by their
    number and by its share of the batch, which gives the mean over samples.
    """

    name = "ddp"
    is_shared = True

    def __init__(self, task: Task, network: nn.Module, *, learning_rate: float) -> None:
        super().__init__(task, network, learning_rate=learning_rate)
        self._wrapped = network
        if group.size() > 1:
            gpus = [self.device] if device.is_gpu(self.device) else None
            with group.exchanging():
                self._wrapped = DistributedDataParallel(network, device_ids=gpus, **UNSYNCHRONIZED)

    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        own = share(len(targets), group.rank(), group.size())
        return self._agree(self._step_on_share(inputs[own], targets[own], len(targets)))

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:  # noqa: D102
        losses = []
        for batch in order.to(self.device).split(clamped(batch_size, len(split))):
            own = batch[share(len(batch), group.rank(), group.size())]
            inputs = split.inputs.index_select(0, own)
            targets = split.targets.index_select(0, own)
            losses.append(self._step_on_share(inputs, targets, len(batch)))
        return self._agree(torch.stack(losses))

    def _agree(self, losses: Tensor) -> Tensor:
        """Add up the workers' losses; copy the first worker's buffers, such as means, to all."""
        for buffer in self.network.buffers():
            group.copy_first(buffer)
        return group.add_up(losses)

    def _step_on_share(self, inputs: Tensor, targets: Tensor, samples: int) -> Tensor:
        """Update once on this worker's share, (b, ...) each, of a batch of `samples` samples.

        The share may be empty (b = 0).

        Returns the sum of the share's losses over the samples of the batch, a scalar.
        """
        self.optimizer.zero_grad()
        outputs = self._wrapped(inputs)
        if len(targets):
            loss = self.task.loss(outputs, targets) * (len(targets) / samples)
        else:  # the mean over no samples is not a number
            loss = outputs.sum() * 0.0
        with group.exchanging():
            (loss * group.size()).backward()
        self.optimizer.step()
        return loss.detach()
