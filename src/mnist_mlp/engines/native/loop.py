"""Steps of plain SGD as a loop over samples that skips pixels that are 0.

A pixel that is 0 adds nothing to the hidden sums and leaves its weights as they are: four fifths of
MNIST's pixels. The arithmetic is that of `closed_form`; Numba compiles it.

Threads share the hidden units. Each has the columns of its units in one piece: in a common row, a
core that fetches memory ahead would take those of the other core. The threads meet once per block
of samples, when each has its part of the logits; each adds them up for itself.
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
from mnist_mlp.engines.native import intrinsics
from mnist_mlp.engines.native.steps import Form, Parameters, Steps
from mnist_mlp.model import HIDDEN

BLOCK_SAMPLES = 1024  # a larger batch is cut into blocks, of which all that is kept fits in a cache
PADDED_CLASSES = 16  # a cache line of logits, written by one thread

FAST = {"contract", "reassoc", "nsz", "arcp"}  # infinities and NaN stay what they are
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
        except OSError:  # a full disk: nothing is kept, and what was compiled is there all the same
            return machine_code(*arguments)

    return call


@dataclass(frozen=True, kw_only=True)
class Loop(Form):
    """The loop, on threads that share the hidden units; their number divides 256."""

    threads: int
    name = "loop"

    def take(self, steps: Steps, parameters: Parameters) -> Tensor:  # noqa: D102
        threads = self.threads
        block = min(steps.batch_size, len(steps.order), BLOCK_SAMPLES)
        samples = [each.contiguous().numpy() for each in (steps.images, steps.labels, steps.order)]
        logits = torch.empty(2, threads, block, PADDED_CLASSES).numpy()
        arrived = intrinsics.places(threads)
        wholes = [each.numpy().reshape(-1, threads, HIDDEN // threads) for each in parameters[:3]]
        columns = [_by_thread(whole) for whole in wholes]
        output_biases = np.tile(parameters.output_bias.numpy(), (threads, 1, 1))
        losses = np.empty((threads, steps_per_epoch(len(steps.order), steps.batch_size)), f32)

        def work(thread: int) -> None:
            weights = Weights(*(each[thread] for each in (*columns, output_biases)))
            shared = logits, arrived, thread
            rate = f32(steps.learning_rate)
            _take(*samples, steps.batch_size, rate, weights, losses[thread], *shared)

        _on_threads(work, threads)
        if threads > 1:
            for whole, parts in zip(wholes, columns, strict=True):
                whole[...] = parts.transpose(1, 0, 2)
        parameters.output_bias.copy_(torch.from_numpy(output_biases[0, 0]))
        return torch.from_numpy(losses[0])

    def predict(self, images: Tensor, parameters: Parameters) -> Tensor:  # noqa: D102
        weights = Weights(*(each.numpy().reshape(-1, each.shape[-1]) for each in parameters))
        logits = np.empty((len(images), 1, CLASSES), f32)
        shares = [
            np.array_split(each, self.threads) for each in (images.contiguous().numpy(), logits)
        ]
        _on_threads(
            lambda thread: _predict(weights, *(each[thread] for each in shares)), self.threads
        )
        return torch.from_numpy(logits[:, 0]) + parameters.output_bias


def _by_thread(whole: Array) -> Array:
    """From (rows, threads, width) to (threads, rows, width), in one piece each."""
    parts = whole.transpose(1, 0, 2)
    if parts.flags.c_contiguous:
        return parts
    # Memory from torch starts a cache line. Copied by numpy, on this thread: torch's threads would
    # spin for milliseconds afterwards, in the way of ours.
    copy = torch.empty(parts.shape).numpy()
    copy[...] = parts
    return copy


def _on_threads(function: Callable[[int], None], threads: int) -> None:
    """Call the function with each thread's number, the first on this thread."""
    # Daemons: if Ctrl-C ends this thread before the first meeting, they do not keep the process.
    others = [Thread(target=function, args=(thread,), daemon=True) for thread in range(1, threads)]
    for other in others:
        other.start()
    function(0)
    for other in others:
        other.join()


class Weights(NamedTuple):
    """What a thread has of the parameters, as arrays."""

    hidden: Array  # (784, width), transposed
    hidden_bias: Array  # (1, width)
    output: Array  # (10, width)
    output_bias: Array  # (1, 10): a copy of its own


class Lit(NamedTuple):
    """The pixels of a block that are not 0, as compressed sparse rows."""

    starts: Array  # (block + 1,): sample k's are from starts[k] up to starts[k + 1]
    pixels: Array
    shades: Array


@njit(inline="always")
def from_a_line(rows, width):
    """Return an array of zeros, (rows, width), that begins at a cache line.

    Numba's own begin at one or in the middle of one, and then each wide load touches two lines.
    """
    spare = np.zeros(rows * width + intrinsics.LINE_PIXELS, f32)
    first = -spare.ctypes.data // spare.itemsize % intrinsics.LINE_PIXELS
    return spare[first : first + rows * width].reshape(rows, width)


@compiled
def _take(
    images, labels, order, batch_size, learning_rate, weights, losses, logits, arrived, thread
):
    """Take one thread's part of all steps; `logits` is (2, threads, block, 16)."""
    threads, block, width = logits.shape[1], logits.shape[2], weights.hidden.shape[1]
    # A block's pixels take far less than the memory that is set aside, which costs nothing.
    room = block * PIXELS + 1
    lit = Lit(np.zeros(block + 1, np.int64), np.empty(room, np.int16), np.empty(room, f32))
    hidden = from_a_line(block, width)
    # Sums of a batch's descents: later samples must not see them, and a sample's share of a large
    # batch is too small to be added to a parameter without being rounded away.
    updated = Weights(
        weights.hidden if batch_size <= block else from_a_line(PIXELS, width),
        np.zeros_like(weights.hidden_bias),
        np.zeros_like(weights.output),
        np.zeros_like(weights.output_bias),
    )
    meeting = 0
    for step in range(len(losses)):
        batch = order[step * batch_size : (step + 1) * batch_size]
        scale = learning_rate / f32(len(batch))
        loss = 0.0
        for first in range(0, len(batch), block):
            samples = batch[first : first + block]
            parts = logits[meeting % 2]  # the slower thread may still read those of the last block
            meeting += 1
            for k in range(len(samples)):
                following = step * batch_size + first + k + 1
                intrinsics.fetch_ahead(images, order[following % len(order)])
                _find(images, samples[k], lit, k)
                _add_up(weights, lit, k, hidden)
                _activate(hidden, k)
                _part_of_logits(weights, hidden, k, parts, thread)
            intrinsics.meet(arrived, thread, threads, meeting)
            for k in range(len(samples)):
                loss += _descend(weights, updated, parts, k, labels[samples[k]], scale, hidden)
                _descend_pixels(updated, lit, k, hidden)
        if batch_size > block:
            _move(weights.hidden, updated.hidden)
        _settle(weights, updated)
        losses[step] = loss / len(batch)


def middle(
    parameters: Parameters, updated: Parameters
) -> Callable[[Tensor, Tensor, float, bool], float]:
    """Return a function that takes all of a step but the two large products, on a block of a batch.

    It takes the block's hidden sums, (B, 256), which it turns to descents; its labels, (B,); the
    learning rate over the samples of the batch; and whether the batch ends here. It returns the sum
    of the samples' losses.

    Args:
        parameters: those before the batch.
        updated: sums of the batch's descents, which move the parameters when it ends.

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
    loss = 0.0
    for k in range(len(labels)):
        _activate(hidden, k)
        _part_of_logits(weights, hidden, k, logits, 0)
    for k in range(len(labels)):
        loss += _descend(weights, updated, logits, k, labels[k], scale, hidden)
    if is_last:
        _settle(weights, updated)
    return loss


@compiled
def _predict(weights, images, logits):
    """Compute the logits, (N, 1, 10), but for the bias."""
    lit = Lit(np.zeros(2, np.int64), np.empty(PIXELS + 1, np.int16), np.empty(PIXELS + 1, f32))
    hidden = from_a_line(1, weights.hidden.shape[1])
    for sample in range(len(images)):
        _find(images, sample, lit, 0)
        _add_up(weights, lit, 0, hidden)
        _activate(hidden, 0)
        _part_of_logits(weights, hidden, 0, logits[sample : sample + 1], 0)


@inlined
def _settle(weights, updated):
    """End a batch: move all but the hidden weight by what was added up for it."""
    _move(weights.hidden_bias, updated.hidden_bias)
    _move(weights.output, updated.output)
    _move(weights.output_bias, updated.output_bias)


@inlined
def _move(matrix, by):
    """Add `by` to a matrix and clear it; numpy's own way takes seconds to compile."""
    for row in range(matrix.shape[0]):
        for column in range(matrix.shape[1]):
            matrix[row, column] += by[row, column]
            by[row, column] = f32(0)


@inlined
def _find(images, sample, lit, k):
    """List the pixels of a sample that are not 0."""
    end = np.uint64(lit.starts[k])  # unsigned: Numba need not check for a negative index
    for pixel in range(PIXELS):
        shade = images[sample, pixel]
        lit.pixels[end] = pixel
        lit.shades[end] = shade
        end += np.uint64(shade != 0)
    lit.starts[k + 1] = end


@inlined
def _add_up(weights, lit, k, hidden):
    """Compute the hidden sums of a sample, four rows of the weight in one pass over them."""
    width = weights.hidden.shape[1]
    for j in range(width):
        hidden[k, j] = weights.hidden_bias[0, j]
    m, end = lit.starts[k], lit.starts[k + 1]
    while m + 4 <= end:
        p0, p1, p2, p3 = lit.pixels[m], lit.pixels[m + 1], lit.pixels[m + 2], lit.pixels[m + 3]
        x0, x1, x2, x3 = lit.shades[m], lit.shades[m + 1], lit.shades[m + 2], lit.shades[m + 3]
        for j in range(width):
            hidden[k, j] += (
                x0 * weights.hidden[p0, j]
                + x1 * weights.hidden[p1, j]
                + x2 * weights.hidden[p2, j]
                + x3 * weights.hidden[p3, j]
            )
        m += 4
    for rest in range(m, end):
        pixel, shade = lit.pixels[rest], lit.shades[rest]
        for j in range(width):
            hidden[k, j] += shade * weights.hidden[pixel, j]


@inlined
def _activate(hidden, k):
    """Turn the hidden sums of a sample to its hidden units: a sigmoid each."""
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
def _descend(weights, updated, parts, k, label, scale, hidden):
    """Return a sample's loss; update all but the hidden weight; turn hidden units to descents."""
    width = hidden.shape[1]
    descent = np.empty(CLASSES, f32)
    most = f32(-np.inf)
    for c in range(CLASSES):
        descent[c] = weights.output_bias[0, c]
        for part in range(parts.shape[0]):
            descent[c] += parts[part, k, c]
        most = max(most, descent[c])
    total = f32(0)
    for c in range(CLASSES):
        total += _exp(descent[c] - most)
    loss = np.log(total) + most - descent[label]
    for c in range(CLASSES):
        descent[c] = scale * (_exp(descent[c] - most) / total - f32(c == label))
        updated.output_bias[0, c] -= descent[c]
        for j in range(width):
            updated.output[c, j] -= descent[c] * hidden[k, j]
    for j in range(width):
        back = f32(0)
        for c in range(CLASSES):
            back += descent[c] * weights.output[c, j]
        hidden[k, j] *= back * (f32(1) - hidden[k, j])
        updated.hidden_bias[0, j] -= hidden[k, j]
    return loss


@inlined
def _descend_pixels(updated, lit, k, descents):
    """Update the hidden weights of the pixels that are not 0."""
    for m in range(lit.starts[k], lit.starts[k + 1]):
        pixel, shade = lit.pixels[m], lit.shades[m]
        for j in range(descents.shape[1]):
            updated.hidden[pixel, j] -= shade * descents[k, j]


@inlined
def _exp(x):
    """Compute e to the x without a call, so that loops of it vectorise.

    It is 2^n times a polynomial (expf of S. Moshier's Cephes library). Beyond -87 and 88 it stays
    what it is there, and NaN stays NaN.
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
