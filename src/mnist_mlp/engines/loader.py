"""The question's own code path."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from mnist_mlp.batches import check_batch_size
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Engine


class Loader(Engine):
    """As the question wrote it: torchvision's dataset, ToTensor, DataLoader, loss.item() a step."""

    def __init__(
        self, network: nn.Module, *, learning_rate: float, precision: str = "float32"
    ) -> None:
        super().__init__(network, learning_rate=learning_rate, precision=precision)
        self.optimizer = torch.optim.SGD(self.parameters, lr=learning_rate)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:  # noqa: D102
        self.optimizer.zero_grad()
        loss = cross_entropy(self.network(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:  # noqa: D102
        # As shuffle=True would with this order; the generator spares the global random state.
        loader = DataLoader(
            split.dataset,
            check_batch_size(batch_size),
            sampler=order.tolist(),
            generator=torch.Generator(),
        )
        losses = []
        for images, labels in loader:
            pixels = images.flatten(start_dim=1).to(self.device)  # (B, 784)
            losses.append(self.step(pixels, labels.to(self.device)).item())
        return torch.tensor(losses)
