"""The question's own code path, for any task."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mnist_mlp.batches import clamped
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Autograd
from mnist_mlp.task import Task


class Loader(Autograd):
    """The question's way: a dataset, DataLoader, autograd, and loss.item() per step."""

    name = "loader"
    is_resident = False

    def __init__(self, task: Task, network: nn.Module, *, learning_rate: float) -> None:
        super().__init__(task, network, learning_rate=learning_rate)
        self.workers = 0  # processes that fetch samples, besides this one

    def prepare(self, batch_size: int, split: Split) -> float:  # noqa: D102
        split.dataset  # noqa: B018 - imports torchvision, which reads the files
        return super().prepare(batch_size, split)

    def batches(
        self, split: Split, order: Tensor, batch_size: int
    ) -> DataLoader[tuple[Tensor, Tensor]]:
        """Batches of inputs and targets, (B, ...) each, as shuffle=True would make them."""
        return DataLoader(
            split.dataset,
            clamped(batch_size, len(split)),
            sampler=order.tolist(),
            num_workers=self.workers,
            generator=torch.Generator(),  # the global random state stays as it is
        )

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:  # noqa: D102
        losses = []
        for inputs, targets in self.batches(split, order, batch_size):
            losses.append(self.step(inputs.to(self.device), targets.to(self.device)).item())
        return torch.tensor(losses)
