"""What torch.compile makes of one step: forward, backward and update in one graph."""

import time
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value
from torch.nn.functional import cross_entropy

from mnist_mlp.batches import clamped
from mnist_mlp.data import PIXELS, Split
from mnist_mlp.engines.engine import Engine, UnavailableError
from mnist_mlp.model import MLP

EXAMPLE_SAMPLES = 64  # of the batch that a graph is compiled with

Parameters = dict[str, Tensor]


class Compiled(Engine):
    """The eager engine's step through torch.compile, as a user of torch would write it.

    One graph serves every batch size from 2 up; torch.compile makes another one for a batch of 1.
    """

    name = "compiled"

    def __init__(self, network: nn.Module, *, learning_rate: float) -> None:
        super().__init__(network, learning_rate=learning_rate)
        self._rate = torch.tensor(learning_rate, device=self.device)
        # These share the parameters' memory, and autograd does not follow them.
        self._parameters = {name: each.detach() for name, each in network.named_parameters()}

    def prepare(self, batch_size: int, split: Split) -> float:
        """Compile the graphs that an epoch needs, and return the seconds that it took."""
        started = time.perf_counter()
        batch_size = clamped(batch_size, len(split))
        sizes = batch_size, len(split) % batch_size
        if max(sizes) > 1:
            graph(self.device, is_single=False)
        if 1 in sizes:
            graph(self.device, is_single=True)
        return time.perf_counter() - started

    def step(self, images: Tensor, labels: Tensor) -> Tensor:  # noqa: D102
        step = graph(self.device, is_single=len(labels) == 1)
        with torch.no_grad():
            loss: Tensor = step(self._parameters, images, labels, self._rate)
        return loss


@cache
def graph(device: torch.device, *, is_single: bool) -> Any:
    """Compile the step with an example, so that no step of a training has to wait for it.

    Raises:
        UnavailableError: there is no compiler, or it fails.

    """
    samples = 1 if is_single else EXAMPLE_SAMPLES
    images = torch.zeros(samples, PIXELS, device=device)
    labels = torch.zeros(samples, dtype=torch.int64, device=device)
    if not is_single:
        for tensor in (images, labels):
            torch._dynamo.mark_dynamic(tensor, 0)  # noqa: SLF001 - its documented name
    network = MLP(seed=0).to(device)
    parameters = {name: each.detach() for name, each in network.named_parameters()}
    try:
        with torch.no_grad():
            _compiled()(parameters, images, labels, torch.zeros((), device=device))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise UnavailableError(
            f"the compiled engine has no working compiler here ({reason}): install g++ or clang++, "
            "or use another engine"
        ) from error
    return _compiled()


@cache
def _compiled() -> Any:
    """Return the step, which torch compiles when it is called."""
    with torch.device("meta"):
        skeleton = MLP(seed=0)  # how the network computes; its parameters are given

    def mean_loss(parameters: Parameters, images: Tensor, labels: Tensor) -> Tensor:
        logits: Tensor = functional_call(skeleton, parameters, images)
        return cross_entropy(logits, labels)

    def step(parameters: Parameters, images: Tensor, labels: Tensor, rate: Tensor) -> Tensor:
        loss: Tensor
        gradients, loss = grad_and_value(mean_loss)(parameters, images, labels)
        for name, parameter in parameters.items():
            parameter.sub_(rate * gradients[name])
        return loss

    return torch.compile(step, fullgraph=True)
