"""The least time that an epoch could take here, from rates measured in the same minute.

There are two floors, and the smaller one counts (the roofline model, Williams et al. 2009):

- dense products: a step takes at least as long as its two large products at the best rate seen, and
  at least as long as its memory traffic: the hidden weight is read once, then read and written
  once, and the images are read from where they lie;
- skipping pixels that are 0: for each sample, the weight's rows of its other pixels are read once,
  then read and written once, in the cache of the core that holds them.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from mnist_mlp import device
from mnist_mlp.batches import steps_per_epoch
from mnist_mlp.clock import shortest_seconds
from mnist_mlp.data import PIXELS, Split
from mnist_mlp.engines.native import forms, products
from mnist_mlp.model import HIDDEN

PRODUCT_SAMPLES = 1024  # products reach their best rate in this shape
POOL_SAMPLES = 16_384  # 51 MB of images, more than a cache holds
DENSITY_SAMPLES = 1024
TRIAL_SECONDS = 0.01

_seconds = partial(shortest_seconds, for_seconds=TRIAL_SECONDS)


def epoch_seconds(split: Split, batch_size: int) -> float:
    """The floor of a pass over the split on a CPU, on as many threads as torch uses."""
    steps = steps_per_epoch(len(split), batch_size)
    dense = dense_seconds(len(split), steps)
    density = forms.density(split.inputs[:DENSITY_SAMPLES])
    return min(dense, sparse_seconds(len(split), density))


def dense_seconds(samples: int, steps: int) -> float:
    """The floor of an epoch of products that multiply zeros, too."""
    traffic = steps * _weight_traffic_seconds() + samples * _gather_seconds_per_sample()
    return max(samples * _product_seconds_per_sample(), traffic)


def sparse_seconds(samples: int, density: float) -> float:
    """The floor of an epoch that skips zeros, sample by sample."""
    threads = torch.get_num_threads()  # each has a part of every row in its own core's cache
    with device.threads(1):
        weight = torch.zeros(PIXELS, HIDDEN)
        seconds = _cached_seconds(weight, torch.sum) + _cached_seconds(weight, Tensor.neg_)
    return samples * density * seconds / threads


def _cached_seconds(weight: Tensor, pass_over: Callable[[Tensor], object]) -> float:
    """The seconds of a pass over the weight in a core's cache, without the cost of a call."""
    half = weight[: len(weight) // 2]
    return 2 * (_seconds(lambda: pass_over(weight)) - _seconds(lambda: pass_over(half)))


def _product_seconds_per_sample() -> float:
    """The forward product and that of the weight's gradient, each by the fastest candidate."""
    weight, bias = torch.zeros(PIXELS, HIDDEN), torch.zeros(HIDDEN)
    images, descents = torch.ones(PRODUCT_SAMPLES, PIXELS), torch.ones(PRODUCT_SAMPLES, HIDDEN)
    candidates = products.available()
    return (
        min(_seconds(partial(each.sums, bias, images, weight)) for each in candidates)
        + min(_seconds(partial(each.descend, weight, images, descents)) for each in candidates)
    ) / PRODUCT_SAMPLES


def _weight_traffic_seconds() -> float:
    """Two reads and a write of as many numbers as the hidden weight has."""
    weight, other = torch.zeros(HIDDEN, PIXELS), torch.zeros(HIDDEN, PIXELS)
    return _seconds(lambda: weight.sub_(other))


def _gather_seconds_per_sample() -> float:
    pool = torch.ones(POOL_SAMPLES, PIXELS)
    rows = torch.randint(POOL_SAMPLES, (PRODUCT_SAMPLES,), generator=torch.Generator())
    return _seconds(lambda: pool.index_select(0, rows)) / PRODUCT_SAMPLES
