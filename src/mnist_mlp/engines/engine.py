"""What every engine has: a network, the task that it is trained for, and a way to train it."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from mnist_mlp.batches import clamped
from mnist_mlp.data import Split
from mnist_mlp.errors import UserError
from mnist_mlp.task import Task

GATHERED_BYTES = 2**20 * 3  # limit of small batches that are gathered together


class UnavailableError(UserError):
    """An engine cannot train here: what it needs is missing."""


class Engine(ABC):
    """A network of a task, and a way to train it.

    An engine that cannot train here raises UnavailableError when it is made or prepared.
    """

    name: ClassVar[str]  # key in ENGINES
    is_resident: ClassVar[bool] = True  # trains on a split's tensors, not on its dataset
    is_shared: ClassVar[bool] = False  # trains together with the other workers of a group

    def __init__(self, task: Task, network: nn.Module, *, learning_rate: float) -> None:
        if self.is_resident and task.train.obstacle:
            raise UnavailableError(
                f"the {self.name} engine needs the training samples of {task.name} in memory "
                f"({task.train.obstacle}): use the loader engine"
            )
        self.task = task
        self.network = network
        self.learning_rate = learning_rate
        self.parameters: list[Tensor] = list(network.parameters())
        self.device = self.parameters[0].device
        self.optimizer: Optimizer | None = None  # the task's optimizer, if it makes the updates
        # The form of the last steps, if the engine has several.
        self.form: str | None = None
        self.form_threads: int | None = None

    def prepare(self, batch_size: int, split: Split) -> float:
        """Do what would delay the first batch of this size: compile, or choose a form of a step.

        Returns the seconds that this took.
        """
        clamped(batch_size, len(split))
        return 0.0

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the network's outputs, such as logits, (B, 10), of images, (B, 784)."""
        outputs: Tensor = self.network(inputs)
        return outputs

    @abstractmethod
    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Update once on a batch, (B, ...) each; return its mean loss before it, a scalar."""

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:
        """Take steps over the samples that `order`, (n,) int64, lists; the last batch may be short.

        Returns the mean loss of each batch before its update: (steps,) float32.
        """
        batch_size = clamped(batch_size, len(split))
        batch_bytes = batch_size * split.inputs[:1].nbytes
        batches_at_once = max(1, GATHERED_BYTES // max(1, batch_bytes))
        losses = []
        for samples in order.to(self.device).split(batches_at_once * batch_size):
            # index_select is three times as fast as inputs[samples].
            inputs = split.inputs.index_select(0, samples).split(batch_size)
            targets = split.targets.index_select(0, samples).split(batch_size)
            losses += [self.step(*batch) for batch in zip(inputs, targets, strict=True)]
        return torch.stack(losses)


class Autograd(Engine):
    """An engine that trains by autograd and the task's own optimizer."""

    optimizer: Optimizer

    def __init__(self, task: Task, network: nn.Module, *, learning_rate: float) -> None:
        super().__init__(task, network, learning_rate=learning_rate)
        self.optimizer = task.optimizer(network.parameters(), learning_rate)
        self.rate: float = self.optimizer.param_groups[0]["lr"]  # the task may change it

    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        self.optimizer.zero_grad()
        loss = self.task.loss(self.network(inputs), targets)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @property
    def is_plain(self) -> bool:
        """Whether the update is plain SGD: each parameter's gradient times one rate."""
        first, *others = self.optimizer.param_groups
        covers_all = not others and len(first["params"]) == len(self.parameters)
        hooks = self.optimizer._optimizer_step_post_hooks  # noqa: SLF001 - schedules add them
        return (
            type(self.optimizer) is SGD
            and covers_all
            and not any(first[extra] for extra in ("momentum", "weight_decay", "maximize"))
            and not (hooks or self.optimizer._optimizer_step_pre_hooks)  # noqa: SLF001
        )
