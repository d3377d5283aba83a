"""Ways to carry out training steps: the same arithmetic, at different speeds."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.sgd import sgd
from torch.utils.data import DataLoader

from mnist_mlp.batches import check_batch_size
from mnist_mlp.data import Split

GATHERED_SAMPLES = 1024  # 3 MB of images, gathered at once where batches are smaller


class Engine(ABC):
    """A network, (B, 784) to (B, 10), and a way to train it with plain SGD on cross entropy."""

    def __init__(self, network: nn.Module, *, learning_rate: float) -> None:
        self.network = network
        self.learning_rate = learning_rate
        self.parameters: list[Tensor] = list(network.parameters())
        self.device = self.parameters[0].device

    @abstractmethod
    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Update once on a batch, (B, 784) and (B,); its mean loss before the update, a scalar."""

    @abstractmethod
    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:
        """Take the steps over the samples that `order`, (n,) int64, names, the last batch short.

        Returns the mean loss of each batch before its update: (steps,) float32.

        Raises:
            TypeError, ValueError: not a batch size; nothing was trained.

        """


class Loader(Engine):
    """As the question wrote it: torchvision's dataset, ToTensor, DataLoader, loss.item() a step."""

    def __init__(self, network: nn.Module, *, learning_rate: float) -> None:
        super().__init__(network, learning_rate=learning_rate)
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


class Eager(Engine):
    """The same arithmetic on resident tensors: gathered batches, and no waiting for a loss.

    The update is torch.optim's own, in its functional form: torch.optim.SGD's bookkeeping around
    it takes a fifth of a step of one sample.
    """

    def step(self, images: Tensor, labels: Tensor) -> Tensor:  # noqa: D102
        loss = cross_entropy(self.network(images), labels)
        gradients = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            sgd(
                self.parameters,
                list(gradients),
                momentum_buffer_list=[],
                fused=self.device.type == "cuda",  # on a CPU a loop over four tensors is faster
                foreach=False,
                lr=self.learning_rate,
                weight_decay=0,
                momentum=0,
                dampening=0,
                nesterov=False,
                maximize=False,
            )
        return loss.detach()

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:  # noqa: D102
        batches_at_once = max(1, GATHERED_SAMPLES // check_batch_size(batch_size))
        losses = []
        for samples in order.to(self.device).split(batches_at_once * batch_size):
            # index_select is three times as fast as images[samples].
            images = split.images.index_select(0, samples).split(batch_size)
            labels = split.labels.index_select(0, samples).split(batch_size)
            losses += [self.step(*batch) for batch in zip(images, labels, strict=True)]
        return torch.stack(losses)


ENGINES: dict[str, type[Engine]] = {"loader": Loader, "eager": Eager}
