"""The closed form of a step on each worker's share, and one exchange of all gradients."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from mnist_mlp.data import CLASSES, PIXELS
from mnist_mlp.engines.shared import Shared
from mnist_mlp.model import HIDDEN
from mnist_mlp.workers import group

BLOCK_SAMPLES = 1024  # of a share: their activations stay in a processor's cache


class Parallel(Shared):
    """Gradients by products of matrices, in one buffer that workers add up, 814,120 bytes.

    The parameters lie in one tensor, too, so that an update is one operation; the network has
    views of it. The formulas are those of `mnist_mlp.engines.native.closed_form`.

    With `average_every` above 1, each worker takes that many steps by itself, each on the mean over
    its share, before the workers average their parameters: local SGD (Stich, arXiv 1805.09767).
    """

    name = "parallel"

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        precision: str = "float32",
        average_every: int = 1,
    ) -> None:
        super().__init__(network, learning_rate=learning_rate, precision=precision)
        self.average_every = average_every
        self._lonely_steps = 0  # since the last average
        self._flat = _flattened(self.parameters)
        self._gradients = torch.zeros_like(self._flat)
        self._weights = _views(self._flat)
        self._slopes = _views(self._gradients)

    @torch.no_grad()
    def step_on_share(self, images: Tensor, labels: Tensor, samples: int) -> Tensor:  # noqa: D102
        is_lonely = self.average_every > 1
        loss = self._fill_gradients(images, labels, len(labels) if is_lonely else samples)
        if not is_lonely:
            self.exchange(self._gradients)
        self._flat.sub_(self._gradients, alpha=self.learning_rate)
        if is_lonely:
            self._lonely_steps += 1
            if self._lonely_steps == self.average_every:
                self.settle()
        return loss / samples

    def exchange(self, gradients: Tensor) -> None:
        """Add up the workers' gradients, (203530,), in place."""
        group.add_up(gradients)

    @torch.no_grad()
    def settle(self) -> None:
        """Average the workers' parameters, if they have taken steps by themselves."""
        if self._lonely_steps:
            group.add_up(self._flat.div_(group.size()))
            self._lonely_steps = 0

    def _fill_gradients(self, images: Tensor, labels: Tensor, samples: int) -> Tensor:
        """Put the gradients of the share's losses over `samples` in the buffer; return the sum."""
        if len(labels) == 0:
            self._gradients.zero_()
            return torch.zeros((), device=self.device)
        hidden_weight, hidden_bias, output_weight, output_bias = self._weights
        loss = torch.zeros((), device=self.device)
        blocks = zip(images.split(BLOCK_SAMPLES), labels.split(BLOCK_SAMPLES), strict=True)
        for number, (block, truth) in enumerate(blocks):
            units = torch.addmm(hidden_bias, block, hidden_weight).sigmoid_()  # (B, 256)
            logits = torch.addmm(output_bias, units, output_weight.t())  # (B, 10)
            loss += cross_entropy(logits, truth, reduction="sum")
            output_slope = (logits.softmax(1) - one_hot(truth, CLASSES)) / samples
            hidden_slope = (output_slope @ output_weight).mul_(units).mul_(1 - units)
            kept = float(number > 0)  # of the gradients of earlier blocks
            weight, bias, last_weight, last_bias = self._slopes
            weight.addmm_(block.t(), hidden_slope, beta=kept)
            last_weight.addmm_(output_slope.t(), units, beta=kept)
            bias.mul_(kept).add_(hidden_slope.sum(0))
            last_bias.mul_(kept).add_(output_slope.sum(0))
        return loss


def _flattened(parameters: list[Tensor]) -> Tensor:
    """Put the parameters in one tensor, (203530,), the hidden weight transposed, as views of it."""
    hidden_weight, *others = (parameter.detach() for parameter in parameters)
    flat = torch.cat([tensor.flatten() for tensor in (hidden_weight.t(), *others)])
    hidden_view, *views = _views(flat)
    for parameter, view in zip(parameters, (hidden_view.t(), *views), strict=True):
        parameter.data = view
    return flat


def _views(flat: Tensor) -> list[Tensor]:
    """Hidden weight, (784, 256), and bias, (256,), output weight, (10, 256), and bias, (10,)."""
    shapes = (PIXELS, HIDDEN), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,)
    parts = flat.split([math.prod(shape) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
