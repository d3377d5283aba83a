"""Compile the closed form: one graph for each small width, and one for all larger batches."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from mnist_mlp.data import CLASSES, PIXELS
from mnist_mlp.engines.compiled.closed_form import Batch, Parameters, step_few, step_many
from mnist_mlp.engines.compiled.layouts import Layout
from mnist_mlp.engines.compiled.products import Product
from mnist_mlp.engines.engine import CompilerError
from mnist_mlp.model import HIDDEN

EXAMPLE_SAMPLES = 64  # in the batch that the graph for many samples is compiled with

# For a graph of variable size, inductor's C++ wrapper was a fifth slower than its Python wrapper.
MANY_OPTIONS: dict[str, Any] = {
    "cpp.enable_floating_point_contract_flag": "fast",  # a multiply and an add in one instruction
}
FEW_OPTIONS: dict[str, Any] = {
    **MANY_OPTIONS,
    "cpp_wrapper": True,  # calls kernels from C++, which shortens a step of microseconds
    "cpp.min_chunk_size": 4096,  # fewer numbers stay on one thread
}

FewSteps = Callable[[Parameters, Tensor, Batch, Tensor], Tensor]
ManyStep = Callable[[Parameters, Parameters, Batch, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Form:
    """A kind of graph: each call takes `steps` steps on batches of at most `width` samples."""

    width: int
    steps: int
    layout: type[Layout]


@cache
def few(form: Form, *, threads: int) -> FewSteps:
    """Compile `form.steps` steps: from batches, (steps, width, ...), to losses, (steps,).

    Raises:
        CompilerError: there is no compiler, or it fails.

    """

    def steps(
        parameters: Parameters, stored: Tensor, batches: Batch, learning_rate: Tensor
    ) -> Tensor:
        losses = [
            step_few(parameters, stored, Batch(*batch), learning_rate, form.layout)
            for batch in zip(*batches, strict=True)
        ]
        return torch.stack(losses)

    shape = (form.steps, form.width)
    example = Batch(torch.zeros(*shape, PIXELS), torch.zeros(shape).long(), torch.zeros(shape))
    parameters = _parameters(torch.device("cpu"))
    stored = form.layout.stored(parameters.hidden_weight)
    options = {**FEW_OPTIONS, "cpp.threads": threads}
    graph: FewSteps = _compiled(steps, options, parameters, stored, example, torch.zeros(()))
    return graph


@cache
def many(product: Product, *, in_place: bool, threads: int, device: torch.device) -> ManyStep:
    """Compile a step on any number of samples from 2 up; it returns their mean loss.

    With `in_place`, the step's `before` and `after` are the same parameters.

    Raises:
        CompilerError: there is no compiler, or it fails.

    """

    def step(before: Parameters, after: Parameters, batch: Batch, learning_rate: Tensor) -> Tensor:
        return step_many(before, after, batch, learning_rate, product)

    before = _parameters(device)
    after = before if in_place else _parameters(device)
    example = Batch(
        torch.zeros(EXAMPLE_SAMPLES, PIXELS, device=device),
        torch.zeros(EXAMPLE_SAMPLES, dtype=torch.int64, device=device),
        torch.zeros(EXAMPLE_SAMPLES, device=device),
    )
    for tensor in example:
        torch._dynamo.mark_dynamic(tensor, 0)  # noqa: SLF001 - its documented name
    options = {**MANY_OPTIONS, "cpp.threads": threads}
    learning_rate = torch.zeros((), device=device)
    graph: ManyStep = _compiled(step, options, before, after, example, learning_rate)
    return graph


def _parameters(device: torch.device) -> Parameters:
    shapes = (HIDDEN, PIXELS), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,)
    return Parameters(*(torch.zeros(shape, device=device) for shape in shapes))


def _compiled(function: Any, options: dict[str, Any], *example: Any) -> Any:
    # torch.compile keeps at most eight graphs for one code object, so each graph gets a copy.
    own = FunctionType(
        function.__code__.replace(), function.__globals__, closure=function.__closure__
    )
    try:
        with torch.no_grad(), _silent_on_missing_gpu():
            graph = torch.compile(own, fullgraph=True, dynamic=False, options=options)
            graph(*example)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise CompilerError(
            f"the compiled engine has no working compiler here ({reason}): install g++ or clang++, "
            "or use another engine"
        ) from error
    return graph


@contextmanager
def _silent_on_missing_gpu() -> Iterator[None]:
    """Drop the warning that torch logs when it compiles on a machine that has nvcc and no GPU."""
    logger = logging.getLogger("torch.utils.cpp_extension")

    def is_wanted(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("No CUDA runtime is found")

    logger.addFilter(is_wanted)
    try:
        yield
    finally:
        logger.removeFilter(is_wanted)
