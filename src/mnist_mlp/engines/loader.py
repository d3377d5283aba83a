"""The question's own code path."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from mnist_mlp.batches import clamped
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Engine


class Loader(Engine):
    """The question's way: a torchvision dataset, ToTensor, DataLoader, and loss.item() per step."""

    name = "loader"
    is_resident = False

    def __init__(self, network: nn.Module, *, learning_rate: float) -> None:
        super().__init__(network, learning_rate=learning_rate)
        self.optimizer = torch.optim.SGD(self.parameters, lr=learning_rate)
        self.workers = 0  # further processes, which fetch samples

    def prepare(self, batch_size: int, split: Split) -> float:  # noqa: D102
        split.dataset  # noqa: B018 - imports torchvision, which reads the files
        return super().prepare(batch_size, split)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:  # noqa: D102
        self.optimizer.zero_grad()
        loss = cross_entropy(self.network(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def batches(
        self, split: Split, order: Tensor, batch_size: int
    ) -> DataLoader[tuple[Tensor, Tensor]]:
        """Batches of images, (B, 1, 28, 28), and labels, (B,), as shuffle=True would make them."""
        return DataLoader(
            split.dataset,
            clamped(batch_size, len(split)),
            sampler=order.tolist(),
            num_workers=self.workers,
            generator=torch.Generator(),  # leaves the global random state alone
        )

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:  # noqa: D102
        losses = []
        for images, labels in self.batches(split, order, batch_size):
            pixels = images.flatten(start_dim=1).to(self.device)  # (B, 784)
            losses.append(self.step(pixels, labels.to(self.device)).item())
        return torch.tensor(losses)
