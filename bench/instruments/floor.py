"""The least time that an epoch could take here, from rates measured in the same minute.

A step multiplies, and it moves memory; it takes at least as long as the longer of both would alone:
its two large products at the best rate seen, or the hidden weight read once, then read and written
once, with the images read from where they lie (the roofline model, Williams et al. 2009).
"""

from functools import partial

import torch

from mnist_mlp.batches import steps_per_epoch
from mnist_mlp.clock import shortest_seconds
from mnist_mlp.data import PIXELS
from mnist_mlp.engines.compiled import products
from mnist_mlp.model import HIDDEN

PRODUCT_SAMPLES = 1024  # a shape at which the best products are at their best
POOL_SAMPLES = 16_384  # 51 MB of images, more than a cache holds
TRIAL_SECONDS = 0.01

_seconds = partial(shortest_seconds, for_seconds=TRIAL_SECONDS)


def epoch_seconds(samples: int, batch_size: int, *, precision: str) -> float:
    """The floor of a pass over `samples` in batches of `batch_size`, on a CPU."""
    steps = steps_per_epoch(samples, batch_size)
    traffic = steps * _weight_traffic_seconds() + samples * _gather_seconds_per_sample()
    return max(samples * _product_seconds_per_sample(precision), traffic)


def _product_seconds_per_sample(precision: str) -> float:
    """The forward product and that of the weight's gradient, each by whatever is best at it."""
    candidates = products.available() if precision == "float32" else (products.bfloat16,)
    weight, images = torch.ones(HIDDEN, PIXELS), torch.ones(PRODUCT_SAMPLES, PIXELS)
    descent = torch.ones(HIDDEN, PRODUCT_SAMPLES)
    return (
        min(_seconds(partial(product, weight, images)) for product in candidates)
        + min(_seconds(partial(product, descent, images.t())) for product in candidates)
    ) / PRODUCT_SAMPLES


def _weight_traffic_seconds() -> float:
    """Two reads and a write of as many numbers as the hidden weight has."""
    weight, other = torch.zeros(HIDDEN, PIXELS), torch.zeros(HIDDEN, PIXELS)
    return _seconds(lambda: weight.sub_(other))


def _gather_seconds_per_sample() -> float:
    pool = torch.ones(POOL_SAMPLES, PIXELS)
    rows = torch.randint(POOL_SAMPLES, (PRODUCT_SAMPLES,), generator=torch.Generator())
    return _seconds(lambda: pool.index_select(0, rows)) / PRODUCT_SAMPLES
