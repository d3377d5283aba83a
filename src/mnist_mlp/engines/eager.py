"""The loader engine's arithmetic on resident tensors."""

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from mnist_mlp.device import is_gpu
from mnist_mlp.engines.engine import Autograd
from mnist_mlp.task import Task


class Eager(Autograd):
    """The loader's arithmetic on resident tensors: it does not wait for the loss.

    A plain SGD's update is the function that torch.optim.SGD calls. In a step of one sample,
    torch.optim.SGD itself spends a fifth of the time on bookkeeping.
    """

    name = "eager"

    def __init__(self, task: Task, network: nn.Module, *, learning_rate: float) -> None:
        super().__init__(task, network, learning_rate=learning_rate)
        self._update = self._descend if self.is_plain else self.optimizer.step

    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        for parameter in self.parameters:
            parameter.grad = None
        loss = self.task.loss(self.network(inputs), targets)
        loss.backward()
        self._update()
        return loss.detach()

    @torch.no_grad()
    def _descend(self) -> None:
        moved = [parameter for parameter in self.parameters if parameter.grad is not None]
        sgd(
            moved,
            [parameter.grad for parameter in moved if parameter.grad is not None],
            momentum_buffer_list=[],
            fused=is_gpu(self.device),  # a loop over four tensors is faster on a CPU
            foreach=False,
            lr=self.rate,
            weight_decay=0,
            momentum=0,
            dampening=0,
            nesterov=False,
            maximize=False,
        )
