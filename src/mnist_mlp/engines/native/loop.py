"""Steps of plain SGD as a loop over samples that skips pixels that are 0.

A pixel that is 0 adds nothing to the hidden sums and leaves its weights as they are. Four fifths of
MNIST's pixels are 0. The arithmetic is that of `closed_form`; Numba compiles it.

The samples of a block share a tile of the hidden weight (see `tiles`) before the next tile's turn.
Threads share the tiles. They meet twice per block: when each has listed the pixels of its share of
the samples, and when each has its part of the logits, which each then adds up for itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from mnist_mlp.batches import steps_per_epoch
from mnist_mlp.data import CLASSES, PIXELS
from mnist_mlp.engines.native import intrinsics, tiles
from mnist_mlp.engines.native.steps import Form, Parameters, Steps, in_wide_rows
from mnist_mlp.model import HIDDEN

BLOCK_SAMPLES = 1024  # a larger batch is cut into blocks; the data of a block fits in a cache
PADDED_CLASSES = 16  # a cache line of logits, written by one thread

FAST = {"contract", "reassoc", "nsz", "arcp"}  # infinities and NaN keep their meaning
inlined = njit(inline="always", fastmath=FAST, error_model="numpy")
f32 = np.float32
Array = np.ndarray[Any, Any]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that Python calls, and keep the result for other processes."""
    machine_code = njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return machine_code(*arguments)
        except OSError:  # the disk is full: the code is compiled, but not kept
            return machine_code(*arguments)

    return call


@dataclass(frozen=True, kw_only=True)
class Loop(Form):
    """The loop, on threads that share the hidden units; `threads` divides the number of tiles."""

    threads: int
    name = "loop"

    def take(self, steps: Steps, parameters: Parameters) -> Tensor:  # noqa: D102
        threads, width = self.threads, HIDDEN // self.threads
        block = min(steps.batch_size, len(steps.order), BLOCK_SAMPLES)
        samples = [each.contiguous().numpy() for each in (steps.images, steps.labels, steps.order)]
        hidden_weight = _columns(parameters.hidden_weight, threads)
        # Sums of a batch's descents: later samples must not see them, and a sample's share of a
        # large batch is too small to be added to a parameter without being rounded away.
        is_cut = steps.batch_size > block
        updated = (
            _columns(_zeros_like(parameters.hidden_weight), threads) if is_cut else hidden_weight
        )
        wholes = [each.numpy().reshape(-1, threads, width) for each in parameters[1:3]]
        columns = [_by_thread(whole) for whole in wholes]
        output_biases = np.tile(parameters.output_bias.numpy(), (threads, 1, 1))
        losses = np.empty((threads, steps_per_epoch(len(steps.order), steps.batch_size)), f32)
        hidden = torch.empty(threads, block, width).numpy()  # begins at a cache line
        shared = Shared(
            # A fast thread may list the next block while a slow thread still reads the last block.
            _new_lit(block if threads == 1 else 2 * block),
            np.empty((threads, block, PADDED_CLASSES), f32),
            intrinsics.places(threads),
        )

        def work(thread: int) -> None:
            own = (each[thread] for each in (hidden_weight, *columns, output_biases))
            rate = f32(steps.learning_rate)
            arrays = Weights(*own), updated[thread], hidden[thread], losses[thread]
            _take(*samples, steps.batch_size, rate, *arrays, shared, thread)

        _on_threads(work, threads)
        if threads > 1:
            for whole, parts in zip(wholes, columns, strict=True):
                whole[...] = parts.transpose(1, 0, 2)
        parameters.output_bias.copy_(torch.from_numpy(output_biases[0, 0]))
        return torch.from_numpy(losses[0])

    def predict(self, images: Tensor, parameters: Parameters) -> Tensor:  # noqa: D102
        hidden_weight, *others = parameters
        weights = Weights(
            _columns(hidden_weight, 1)[0],
            *(each.numpy().reshape(-1, each.shape[-1]) for each in others),
        )
        logits = np.empty((len(images), 1, CLASSES), f32)
        shares = np.array_split(images.contiguous().numpy(), self.threads)
        parts = np.array_split(logits, self.threads)

        def work(thread: int) -> None:
            room = _new_lit(1), np.empty((1, HIDDEN), f32)
            _predict(weights, shares[thread], *room, parts[thread])

        _on_threads(work, self.threads)
        return torch.from_numpy(logits[:, 0]) + parameters.output_bias


def _columns(weight: Tensor, threads: int) -> Array:
    """View a hidden weight, (784, 256), as each thread's columns: (threads, 784, width)."""
    return weight.numpy().reshape(PIXELS, threads, -1).transpose(1, 0, 2)


def _zeros_like(weight: Tensor) -> Tensor:
    # Numpy works on this thread; torch's threads would spin for milliseconds afterwards.
    return in_wide_rows(torch.from_numpy(np.zeros(weight.shape, f32)))


def _by_thread(whole: Array) -> Array:
    """Turn (rows, threads, width) into (threads, rows, width), contiguous in memory."""
    parts = whole.transpose(1, 0, 2)
    if parts.flags.c_contiguous:
        return parts
    # Memory from torch starts at a cache line. Numpy copies on this thread; torch's threads would
    # spin for milliseconds afterwards, and slow ours.
    copy = torch.empty(parts.shape).numpy()
    copy[...] = parts
    return copy


def _on_threads(function: Callable[[int], None], threads: int) -> None:
    """Call the function with each thread's number, the first on this thread.

    Numbers below 1e-38 count as 0 meanwhile, as far as the processor can: a network whose hidden
    units are all near 0 or 1 has such descents, and each would take a hundred times as long.
    """
    # Daemons: if Ctrl-C ends this thread before the first meeting, the process still ends.
    others = [Thread(target=function, args=(thread,), daemon=True) for thread in range(1, threads)]
    is_flushing = bool(f32(1e-38) * f32(0.1) == 0)
    torch.set_flush_denormal(True)  # new threads inherit it
    try:
        for other in others:
            other.start()
        function(0)
        for other in others:
            other.join()
    finally:
        torch.set_flush_denormal(is_flushing)


class Weights(NamedTuple):
    """A thread's part of the parameters, as arrays."""

    hidden: Array  # (784, width), transposed, in wide rows
    hidden_bias: Array  # (1, width)
    output: Array  # (10, width)
    output_bias: Array  # (1, 10), a copy for each thread


class Lit(NamedTuple):
    """The pixels of samples that are not 0: sample k has counts[k] of them, from starts[k] on."""

    starts: Array  # (samples,)
    counts: Array
    pixels: Array  # addresses in compiled code: threads would compete for a reference count
    shades: Array


def _new_lit(samples: int) -> Lit:
    """Return room for the pixels of samples; unused room is never touched."""
    room = samples * PIXELS
    return Lit(
        *(np.empty(samples, np.int64) for _ in range(2)),
        np.empty(room, np.int16),
        np.empty(room, f32),
    )


@njit(inline="always")
def _with_addresses(lit):
    return Lit(lit.starts, lit.counts, lit.pixels.ctypes.data, lit.shades.ctypes.data)


class Shared(NamedTuple):
    """Memory that the threads share."""

    lit: Lit
    logits: Array  # (threads, block, 16): each thread's part of the logits
    arrived: Array  # number of each thread's last meeting


@compiled
def _take(
    images,
    labels,
    order,
    batch_size,
    learning_rate,
    weights,
    updated_hidden,
    hidden,
    losses,
    shared,
    thread,
):
    """Take one thread's part of all steps; `hidden` is room for a block's units, (block, width)."""
    threads, block = shared.logits.shape[0], shared.logits.shape[1]
    lit, parts = _with_addresses(shared.lit), shared.logits
    updated = Weights(
        updated_hidden,
        np.zeros_like(weights.hidden_bias),
        np.zeros_like(weights.output),
        np.zeros_like(weights.output_bias),
    )
    descents, images_at = np.empty(CLASSES, f32), images.ctypes.data
    meeting = 0
    for step in range(len(losses)):
        batch = order[step * batch_size : (step + 1) * batch_size]
        scale = learning_rate / f32(len(batch))
        loss = 0.0
        for first in range(0, len(batch), block):
            samples = batch[first : first + block]
            base = meeting % 4 // 2 * block if threads > 1 else 0
            share = (len(samples) + threads - 1) // threads
            end = (base + thread * share) * PIXELS
            for k in range(thread * share, min(len(samples), (thread + 1) * share)):
                following = step * batch_size + first + k + 1
                intrinsics.fetch_ahead(images, order[following % len(order)])
                lit.starts[base + k] = end
                end += _list(images_at, samples[k], lit, base + k)
            meeting += 1
            intrinsics.meet(shared.arrived, thread, threads, meeting)
            _add_up(weights, lit, base, hidden, len(samples))
            for k in range(len(samples)):
                _activate(hidden, k)
                _part_of_logits(weights, hidden, k, parts, thread)
            meeting += 1
            intrinsics.meet(shared.arrived, thread, threads, meeting)
            for k in range(len(samples)):
                label = labels[samples[k]]
                loss += _descend(weights, updated, parts, k, label, scale, hidden, descents)
            _descend_pixels(updated, lit, base, hidden, len(samples))
        if batch_size > block:
            _move(weights.hidden, updated.hidden)
        _settle(weights, updated)
        losses[step] = loss / len(batch)


def middle(
    parameters: Parameters, updated: Parameters
) -> Callable[[Tensor, Tensor, float, bool], float]:
    """Return a function that does all of a step but the two large products, on a block of a batch.

    It takes the block's hidden sums, (B, 256), which it turns into descents; its labels, (B,); the
    learning rate over the samples of the batch; and whether the batch ends here. It returns the sum
    of the samples' losses.

    Args:
        parameters: the parameters before the batch.
        updated: sums of the batch's descents, which move the parameters when the batch ends.

    """
    weights, after = (
        Weights(*(each.view(-1, each.shape[-1]).numpy() for each in group))
        for group in (parameters, updated)
    )
    return lambda hidden, labels, scale, is_last: _middle(
        weights, after, hidden.numpy(), labels.numpy(), f32(scale), is_last
    )


@compiled
def _middle(weights, updated, hidden, labels, scale, is_last):
    logits = np.empty((1, len(labels), CLASSES), f32)
    descents = np.empty(CLASSES, f32)
    loss = 0.0
    for k in range(len(labels)):
        _activate(hidden, k)
        _part_of_logits(weights, hidden, k, logits, 0)
    for k in range(len(labels)):
        loss += _descend(weights, updated, logits, k, labels[k], scale, hidden, descents)
    if is_last:
        _settle(weights, updated)
    return loss


@compiled
def _predict(weights, images, room, hidden, logits):
    """Compute the logits, (N, 1, 10), without the bias; `hidden` is room for a sample's units."""
    images_at, lit = images.ctypes.data, _with_addresses(room)
    lit.starts[0] = 0
    for sample in range(len(images)):
        _list(images_at, sample, lit, 0)
        _add_up(weights, lit, 0, hidden, 1)
        _activate(hidden, 0)
        _part_of_logits(weights, hidden, 0, logits[sample : sample + 1], 0)


@inlined
def _settle(weights, updated):
    """End a batch: move all parameters but the hidden weight by their sums of descents."""
    _move(weights.hidden_bias, updated.hidden_bias)
    _move(weights.output, updated.output)
    _move(weights.output_bias, updated.output_bias)


@inlined
def _move(matrix, by):
    """Add `by` to a matrix and clear it; numpy's own operation takes seconds to compile."""
    for row in range(matrix.shape[0]):
        for column in range(matrix.shape[1]):
            matrix[row, column] += by[row, column]
            by[row, column] = f32(0)


@inlined
def _list(images_at, sample, lit, k):
    """List the pixels of an image that are not 0 as those of sample k; return their count."""
    start = lit.starts[k]
    image = images_at + 4 * PIXELS * sample
    lit.counts[k] = tiles.list_lit(image, lit.pixels + 2 * start, lit.shades + 4 * start)
    return lit.counts[k]


@inlined
def _add_up(weights, lit, base, hidden, samples):
    """Compute the hidden sums of samples, which `lit` lists from place `base` on."""
    weight, bias = weights.hidden.ctypes.data, weights.hidden_bias.ctypes.data
    sums, width = hidden.ctypes.data, hidden.shape[1]
    for column in range(0, width, tiles.TILE):
        for k in range(samples):
            start, count = lit.starts[base + k], lit.counts[base + k]
            pixels, shades = lit.pixels + 2 * start, lit.shades + 4 * start
            out = sums + 4 * (k * width + column)
            tiles.add_up(weight + 4 * column, bias + 4 * column, pixels, shades, count, out)


@inlined
def _descend_pixels(updated, lit, base, descents, samples):
    """Update the hidden weights of the samples' pixels that are not 0."""
    weight, down, width = updated.hidden.ctypes.data, descents.ctypes.data, descents.shape[1]
    for column in range(0, width, tiles.TILE):
        for k in range(samples):
            start, count = lit.starts[base + k], lit.counts[base + k]
            pixels, shades = lit.pixels + 2 * start, lit.shades + 4 * start
            by = down + 4 * (k * width + column)
            tiles.descend(weight + 4 * column, pixels, shades, count, by)


@inlined
def _activate(hidden, k):
    """Turn the hidden sums of a sample into its hidden units: their sigmoids."""
    for j in range(hidden.shape[1]):
        hidden[k, j] = f32(1) / (f32(1) + _exp(-hidden[k, j]))


@inlined
def _part_of_logits(weights, hidden, k, parts, thread):
    """Compute what this thread's hidden units add to the logits of a sample."""
    for c in range(CLASSES):
        total = f32(0)
        for j in range(hidden.shape[1]):
            total += weights.output[c, j] * hidden[k, j]
        parts[thread, k, c] = total


@inlined
def _descend(weights, updated, parts, k, label, scale, hidden, descents):
    """Return a sample's loss; update all but the hidden weight; turn hidden units into descents."""
    width = hidden.shape[1]
    most = f32(-np.inf)
    for c in range(CLASSES):
        descents[c] = weights.output_bias[0, c]
        for part in range(parts.shape[0]):
            descents[c] += parts[part, k, c]
        most = max(most, descents[c])
    loss = most - descents[label]
    total = f32(0)
    for c in range(CLASSES):
        descents[c] = _exp(descents[c] - most)
        total += descents[c]
    loss += np.log(total)
    for c in range(CLASSES):
        descents[c] = scale * (descents[c] / total - f32(c == label))
        updated.output_bias[0, c] -= descents[c]
        for j in range(width):
            updated.output[c, j] -= descents[c] * hidden[k, j]
    for j in range(width):
        back = f32(0)
        for c in range(CLASSES):
            back += descents[c] * weights.output[c, j]
        hidden[k, j] *= back * (f32(1) - hidden[k, j])
        updated.hidden_bias[0, j] -= hidden[k, j]
    return loss


@inlined
def _exp(x):
    """Compute e to the x without a call, so that loops of it vectorise.

    It is 2^n times a polynomial (expf of S. Moshier's Cephes library). It is constant
    below -87 and above 88, and NaN stays NaN.
    """
    x = f32(-87) if x < f32(-87) else x
    x = f32(88) if x > f32(88) else x
    n = np.floor(x * f32(1.44269504) + f32(0.5))
    r = x - n * f32(0.693359375) + n * f32(2.12194440e-4)
    p = f32(1.9875691500e-4)
    p = p * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    p = p * r * r + r + f32(1)
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(f32)
