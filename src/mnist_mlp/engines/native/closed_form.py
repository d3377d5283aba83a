"""Steps of plain SGD from a closed form of the gradient, by products of matrices.

With h = sigmoid(x W1 + b1), z = h W2' + b2 and p = softmax(z) of each sample x with label y, the
gradients of the mean cross entropy of B samples are dz = (p - onehot(y)) / B,
da = (dz W2) h (1 - h), dW2 = dz' h, db2 = sum dz, dW1 = x' da and db1 = sum da
(Rumelhart, Hinton and Williams, 1986). A gradient times the learning rate is called a descent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mnist_mlp import device
from mnist_mlp.engines.native import loop
from mnist_mlp.engines.native.products import Products
from mnist_mlp.engines.native.steps import Form, Parameters, Steps

BLOCK_SAMPLES = 1024  # samples that fit in a cache: smaller batches are gathered, larger ones cut


@dataclass(frozen=True, kw_only=True)
class ClosedForm(Form):
    """The closed form on torch's threads; a process that has used several must not fork."""

    products: Products
    threads: int

    @property
    def name(self) -> str:  # noqa: D102
        return f"{self.products.name} products"

    @torch.no_grad()
    def take(self, steps: Steps, parameters: Parameters) -> Tensor:  # noqa: D102
        with device.threads(self.threads):
            # oneDNN takes seconds for a product with wide rows.
            packed = parameters._replace(hidden_weight=parameters.hidden_weight.contiguous())
            losses = self._take(steps, packed)
            parameters.hidden_weight.copy_(packed.hidden_weight)
            return losses

    @torch.no_grad()
    def predict(self, images: Tensor, parameters: Parameters) -> Tensor:  # noqa: D102
        hidden_weight, hidden_bias, output_weight, output_bias = parameters
        with device.threads(self.threads):
            weight = hidden_weight.contiguous()
            hidden = self.products.sums(hidden_bias, images, weight).sigmoid_()
            return torch.addmm(output_bias, hidden, output_weight.t())

    def _take(self, steps: Steps, parameters: Parameters) -> Tensor:
        is_cut = min(steps.batch_size, len(steps.order)) > BLOCK_SAMPLES
        # Sums of a batch's descents: its later samples must not see them.
        updated = Parameters(*(torch.zeros_like(each) for each in parameters))
        target = updated.hidden_weight if is_cut else parameters.hidden_weight
        descend = loop.middle(parameters, updated)
        losses = []
        for size, blocks in _batches(steps):
            loss, seen = 0.0, 0
            for images, labels in blocks:
                seen += len(labels)
                hidden = self.products.sums(
                    parameters.hidden_bias, images, parameters.hidden_weight
                )
                loss += descend(hidden, labels, steps.learning_rate / size, seen == size)
                self.products.descend(target, images, hidden)
            if is_cut:
                parameters.hidden_weight.add_(updated.hidden_weight)
                updated.hidden_weight.zero_()
            losses.append(loss / size)
        return torch.tensor(losses)


Block = tuple[Tensor, Tensor]  # images, (B, 784), and labels, (B,)


def _batches(steps: Steps) -> Iterator[tuple[int, Iterator[Block]]]:
    """Yield the size of each batch, and its blocks; small batches are gathered together."""

    def gathered(samples: Tensor) -> Block:
        # index_select is three times as fast as images[samples].
        return steps.images.index_select(0, samples), steps.labels.index_select(0, samples)

    size = steps.batch_size
    if size > BLOCK_SAMPLES:
        for batch in steps.order.split(size):
            yield len(batch), map(gathered, batch.split(BLOCK_SAMPLES))
        return
    for samples in steps.order.split(BLOCK_SAMPLES // size * size):
        parts = (part.split(size) for part in gathered(samples))
        for block in zip(*parts, strict=True):
            yield len(block[1]), iter((block,))
