"""Valid batch sizes, and how an epoch is cut into batches."""

import math

import torch
from torch import Tensor


def clamped(batch_size: object, samples: int) -> int:
    """Return how many samples a batch has: `batch_size`, or all samples where there are fewer.

    Raises:
        TypeError: the batch size is not an int; a bool does not count as an int.
        ValueError: the batch size is less than 1.

    """
    if not isinstance(batch_size, int) or isinstance(batch_size, bool):
        raise TypeError(f"batch size {batch_size!r} is not an int: give an int of at least 1")
    if batch_size < 1:
        raise ValueError(f"batch size {batch_size} is too small: give an int of at least 1")
    return min(batch_size, samples)


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Return the optimizer steps of one pass over `samples`, the short last batch included."""
    return math.ceil(samples / clamped(batch_size, max(1, samples)))


def shuffled(samples: int, *, generator: torch.Generator) -> Tensor:
    """Return every index below `samples` once, in random order: (samples,) int64."""
    return torch.randperm(samples, generator=generator)


def mean_over_samples(losses: Tensor, samples: int, batch_size: int) -> float:
    """Average per-batch mean losses, (steps,), so that each of `samples` samples counts once."""
    sizes = torch.full_like(losses, batch_size, dtype=torch.float64)
    sizes[-1] = samples - batch_size * (len(losses) - 1)
    return float(losses.double() @ sizes / samples)


def share(samples: int, worker: int, workers: int) -> slice:
    """Return a worker's part of `samples` samples.

    The parts follow each other, and their sizes differ by at most one sample.
    """
    return slice(samples * worker // workers, samples * (worker + 1) // workers)
