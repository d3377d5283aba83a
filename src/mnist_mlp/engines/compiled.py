"""The training step through torch.compile."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from mnist_mlp.batches import clamped
from mnist_mlp.data import Split
from mnist_mlp.device import Randomness, is_gpu
from mnist_mlp.engines.engine import Autograd, UnavailableError
from mnist_mlp.task import Task, seeded

EXAMPLE_SAMPLES = 64  # batch size that a graph is compiled with

Parameters = dict[str, Tensor]

_ready: set[tuple[Any, ...]] = set()  # kinds of graphs compiled so far in this process


class Compiled(Autograd):
    """The eager engine's step through torch.compile, as a user of torch would write it.

    With plain SGD, forward, backward and update are one graph. With another optimizer, or a network
    with buffers, the network and its loss are compiled, and the update is not.

    One graph serves every batch size from 2 up; torch.compile makes another graph for a batch of 1.
    On a GPU, a step that is one graph is recorded for each batch size, and then replayed.
    """

    name = "compiled"

    def __init__(self, task: Task, network: nn.Module, *, learning_rate: float) -> None:
        super().__init__(task, network, learning_rate=learning_rate)
        self._rate = torch.tensor(self.rate, device=self.device)
        # These share the parameters' memory, and autograd does not track them.
        self._parameters = {name: each.detach() for name, each in network.named_parameters()}
        self._is_whole = self.is_plain and not [*network.buffers()]
        self._kind = task.network, task.loss, self._is_whole, self.device
        self._is_replayed = is_gpu(self.device) and self._is_whole
        self._recorded: dict[int, Recorded] = {}  # batch size -> recorded step

    def prepare(self, batch_size: int, split: Split) -> float:
        """Compile the graphs that an epoch needs, and return the seconds that this took."""
        started = time.perf_counter()
        batch_size = clamped(batch_size, len(split))
        for samples in {batch_size, len(split) % batch_size} - {0}:
            self._compile(split.inputs, split.targets, samples)
        return time.perf_counter() - started

    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        samples = len(targets)
        self._compile(inputs, targets, samples)
        if samples in self._recorded:
            return self._recorded[samples](inputs, targets)
        return self._take_step(inputs, targets)

    def _take_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor
        if self._is_whole:
            with torch.no_grad():
                step = _step(self.task.network, self.task.loss)
                loss = step(self._parameters, inputs, targets, self._rate)
                return loss
        self.optimizer.zero_grad()
        loss = _loss(self.task.loss)(self.network, inputs, targets)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _compile(self, inputs: Tensor, targets: Tensor, samples: int) -> None:
        """Compile on an example batch, so that no training step waits for the compiler.

        Raises:
            UnavailableError: there is no compiler, or it fails.

        """
        graph = (*self._kind, samples == 1)
        if samples in self._recorded or (graph in _ready and not self._is_replayed):
            return
        count = samples if self._is_replayed or samples == 1 else EXAMPLE_SAMPLES
        inputs, targets = (each[:1].repeat_interleave(count, 0) for each in (inputs, targets))
        if count > 1:
            for tensor in (inputs, targets):
                torch._dynamo.maybe_mark_dynamic(tensor, 0)  # noqa: SLF001 - its documented name
        example = Compiled(self.task, self.task.new_network(0), learning_rate=self.learning_rate)
        try:
            with Randomness(self.device).used():
                example._take_step(inputs, targets)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise UnavailableError(
                f"the compiled engine cannot compile this here ({reason}): install g++ or clang++ "
                "if there is no compiler, or use another engine"
            ) from error
        _ready.add(graph)
        if self._is_replayed:
            self._recorded[samples] = Recorded(self._take_step, inputs, targets)


class Recorded:
    """A step of one batch size as a CUDA graph: one launch in place of one for each kernel.

    The same step must have run before, on another network: a first call loads and compiles.
    """

    def __init__(
        self, step: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor
    ) -> None:
        self._inputs, self._targets = inputs, targets  # memory that the graph reads
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = step(inputs, targets)

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Take the step on a batch, (B, ...) each; return its mean loss, a scalar."""
        self._inputs.copy_(inputs)
        self._targets.copy_(targets)
        self._graph.replay()
        return self._loss.clone()


@cache
def _step(network: Callable[[], nn.Module], loss: Callable[[Tensor, Tensor], Tensor]) -> Any:
    """Return the whole step, which torch compiles when it is called."""
    skeleton = seeded(network, seed=0)  # gives only the structure: its parameters are replaced

    def mean_loss(parameters: Parameters, inputs: Tensor, targets: Tensor) -> Tensor:
        return loss(functional_call(skeleton, parameters, inputs), targets)

    def step(parameters: Parameters, inputs: Tensor, targets: Tensor, rate: Tensor) -> Tensor:
        mean: Tensor
        gradients, mean = grad_and_value(mean_loss)(parameters, inputs, targets)
        for name, parameter in parameters.items():
            parameter.sub_(rate * gradients[name])
        return mean

    return torch.compile(_apart(step), fullgraph=True)


@cache
def _loss(loss: Callable[[Tensor, Tensor], Tensor]) -> Any:
    """Return the loss of a network on a batch, which torch compiles when it is called."""

    def mean_loss(network: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        return loss(network(inputs), targets)

    return torch.compile(_apart(mean_loss))


def _apart(function: Any) -> Any:
    """Give a function a code object of its own: torch limits the graphs per code object."""
    code = function.__code__
    function.__code__ = code.replace(co_name=f"{code.co_name}_{id(function)}")
    return function
