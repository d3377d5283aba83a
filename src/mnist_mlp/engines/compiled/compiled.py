"""The whole step as one compiled graph."""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mnist_mlp.batches import check_batch_size, steps_per_epoch
from mnist_mlp.data import PIXELS, Split
from mnist_mlp.device import is_gpu
from mnist_mlp.engines.compiled import graphs, products
from mnist_mlp.engines.compiled.closed_form import Batch, Parameters
from mnist_mlp.engines.compiled.graphs import Form
from mnist_mlp.engines.compiled.layouts import Columns, Rows
from mnist_mlp.engines.engine import Engine

# A call costs as much as a small step, so that it takes several; more would compile longer.
RUN_FORMS = (
    Form(width=1, steps=8, layout=Rows),
    Form(width=4, steps=4, layout=Rows),
    Form(width=16, steps=2, layout=Columns),
)
STEP_FORMS = (Form(width=1, steps=1, layout=Rows), Form(width=4, steps=1, layout=Rows))
BLOCK_SAMPLES = 1024  # a larger batch is cut into blocks, which fit into the processor's cache
FEWEST_MANY = 2  # torch.compile takes a size of 1 for a constant, not for any number


class Compiled(Engine):
    """Forward, backward and update fused by torch.compile, from a closed form of the gradient.

    A batch of up to 16 samples goes through a graph for 1, 4 or 16 samples, padded with samples of
    weight 0. A larger batch goes through one graph for any number of samples, in blocks if it is
    very large. With `precision` bfloat16, that graph rounds the factors of its large products;
    parameters, sums and updates stay in float32.
    """

    name = "compiled"
    needs_compiler = True
    precisions = ("float32", "bfloat16")

    def __init__(
        self, network: nn.Module, *, learning_rate: float, precision: str = "float32"
    ) -> None:
        super().__init__(network, learning_rate=learning_rate, precision=precision)
        self._rate = torch.tensor(learning_rate, device=self.device)
        # These share the parameters' memory, and autograd does not follow them.
        self._parameters = Parameters(*(parameter.detach() for parameter in self.parameters))

    def prepare(self, batch_size: int) -> float:  # noqa: D102
        started = time.perf_counter()
        for forms in (RUN_FORMS, STEP_FORMS):
            if form := self._form(forms, check_batch_size(batch_size)):
                self._few(form)
            else:
                self._many(in_place=batch_size <= BLOCK_SAMPLES)
        return time.perf_counter() - started

    def step(self, images: Tensor, labels: Tensor) -> Tensor:  # noqa: D102
        samples, parameters = len(labels), self._parameters
        batch = Batch(images, labels, images.new_full((samples,), 1 / samples))
        if form := self._form(STEP_FORMS, samples):
            steps = self._few(form)
            filled = Batch(*(_filled(part, form.width)[None] for part in batch))
            with _trusted():
                return steps(parameters, parameters.hidden_weight, filled, self._rate)[0]
        if samples <= BLOCK_SAMPLES:
            step = self._many(in_place=True)
            filled = Batch(*(_filled(part, FEWEST_MANY) for part in batch))
            with _trusted():
                return step(parameters, parameters, filled, self._rate)
        return self._step_in_blocks(map(Batch, *(_blocks(part) for part in batch)))

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:  # noqa: D102
        order = order.to(self.device)
        if form := self._form(RUN_FORMS, check_batch_size(batch_size)):
            return self._run_few(split, order, batch_size, form)
        if batch_size <= BLOCK_SAMPLES:
            return self._run_many(split, order, batch_size)
        losses = []
        for samples in order.split(batch_size):
            share = 1 / len(samples)
            blocks = (_gathered(split, block, share) for block in _blocks(samples))
            losses.append(self._step_in_blocks(blocks))
        return torch.stack(losses)

    def _run_few(self, split: Split, order: Tensor, batch_size: int, form: Form) -> Tensor:
        steps, parameters = self._few(form), self._parameters
        stored = form.layout.stored(parameters.hidden_weight)
        losses = []
        with _trusted():
            for samples, weights in zip(*_calls(order, batch_size, form), strict=True):
                rows = samples.view(-1)
                images = split.images.index_select(0, rows).view(*samples.shape, PIXELS)
                labels = split.labels.index_select(0, rows).view(samples.shape)
                losses.append(steps(parameters, stored, Batch(images, labels, weights), self._rate))
        form.layout.restore(parameters.hidden_weight, stored)
        return torch.cat(losses)[: steps_per_epoch(len(order), batch_size)]

    def _run_many(self, split: Split, order: Tensor, batch_size: int) -> Tensor:
        step, parameters = self._many(in_place=True), self._parameters
        losses = []
        with _trusted():
            for samples in order.split(batch_size):
                batch = _gathered(split, samples, 1 / len(samples))
                losses.append(step(parameters, parameters, batch, self._rate))
        return torch.stack(losses)

    def _step_in_blocks(self, blocks: Iterable[Batch]) -> Tensor:
        """Take one step on a batch that is given in blocks, and return its mean loss."""
        step, before = self._many(in_place=False), self._parameters
        after = Parameters(*(tensor.clone() for tensor in before))
        with _trusted():
            losses = [step(before, after, block, self._rate) for block in blocks]
        for tensor, descended in zip(before, after, strict=True):
            tensor.copy_(descended)
        return torch.stack(losses).sum()

    def _form(self, forms: Iterable[Form], samples: int) -> Form | None:
        """Return the narrowest form that is wide enough; None if none is, and on a GPU."""
        if is_gpu(self.device):
            return None
        return next((form for form in forms if samples <= form.width), None)

    def _few(self, form: Form) -> graphs.FewSteps:
        return graphs.few(form, threads=torch.get_num_threads())

    def _many(self, *, in_place: bool) -> graphs.ManyStep:
        threads = torch.get_num_threads()
        product: products.Product = products.float32
        if self.precision == "bfloat16":
            product = products.bfloat16
        elif not is_gpu(self.device):
            product = products.fastest(threads)
        return graphs.many(product, in_place=in_place, threads=threads, device=self.device)


@contextmanager
def _trusted() -> Iterator[None]:
    """Skip torch's check that inputs match those a graph was compiled for: ours always do."""
    with torch.no_grad(), torch.compiler.set_stance(skip_guard_eval_unsafe=True):
        yield


def _filled(part: Tensor, samples: int) -> Tensor:
    """Pad with zeros up to so many samples."""
    if len(part) >= samples:
        return part
    return torch.cat([part, part.new_zeros(samples - len(part), *part.shape[1:])])


def _blocks(part: Tensor) -> tuple[Tensor, ...]:
    """Cut a batch's samples, images or labels into blocks of about equal size."""
    return part.tensor_split(math.ceil(len(part) / BLOCK_SAMPLES))


def _gathered(split: Split, samples: Tensor, share: float) -> Batch:
    """Gather a batch, or a block of it; each sample has this share of the mean loss."""
    filled = _filled(samples, FEWEST_MANY)
    weights = split.images.new_full((len(samples),), share)
    return Batch(
        split.images.index_select(0, filled),
        split.labels.index_select(0, filled),
        _filled(weights, FEWEST_MANY),
    )


def _calls(order: Tensor, batch_size: int, form: Form) -> tuple[Tensor, Tensor]:
    """Return the samples of each call, and their weights: (calls, steps, width) each."""
    calls = math.ceil(steps_per_epoch(len(order), batch_size) / form.steps)
    samples = order.new_zeros(calls * form.steps, form.width)
    weights = torch.zeros(samples.shape)
    full, rest = divmod(len(order), batch_size)
    samples[:full, :batch_size] = order[: full * batch_size].view(full, batch_size)
    weights[:full, :batch_size] = 1 / batch_size
    if rest:
        samples[full, :rest] = order[full * batch_size :]
        weights[full, :rest] = 1 / rest
    shape = (calls, form.steps, form.width)
    return samples.view(shape), weights.view(shape)
