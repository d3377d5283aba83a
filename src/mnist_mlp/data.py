"""Samples to train and test on: as tensors in memory, and as a dataset."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, default_collate

from mnist_mlp import memory

PIXELS = 28 * 28
CLASSES = 10

READ_AT_ONCE = 1000  # samples per block when a dataset is read
READ_TWICE = 32  # samples read again, to check that a dataset repeats them


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """N samples in two forms: tensors in memory, and a dataset that serves one sample at a time."""

    inputs: Tensor  # (N, ...); for MNIST (N, 784) float32 in [0, 1]
    targets: Tensor  # (N, ...); for MNIST (N,) int64, 0 to 9
    new_dataset: Callable[[], Dataset[Any]]  # makes the dataset, which few engines need
    obstacle: str = ""  # why the samples are not in memory; the tensors are empty then

    @cached_property
    def dataset(self) -> Dataset[Any]:
        """N pairs of an input and a target; for MNIST a (1, 28, 28) float32 tensor and an int."""
        return self.new_dataset()

    def __len__(self) -> int:
        return len(cast("Any", self.dataset)) if self.obstacle else len(self.targets)

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.inputs.device

    def to(self, device: str) -> "Split":
        """Move the tensors; the dataset stays where it is."""
        inputs, targets = self.inputs.to(device), self.targets.to(device)
        return replace(self, inputs=inputs, targets=targets, new_dataset=lambda: self.dataset)

    def head(self, samples: int) -> "Split":
        """Return the first `samples` samples, or all samples if there are fewer."""
        return self.part(slice(0, min(samples, len(self))))

    def part(self, chosen: slice | Tensor) -> "Split":
        """Return the samples of a slice, or those at the places that a tensor lists."""
        inputs, targets = (
            each if self.obstacle else each[chosen] for each in (self.inputs, self.targets)
        )
        places = range(chosen.start, chosen.stop) if isinstance(chosen, slice) else chosen.tolist()
        return replace(
            self,
            inputs=inputs,
            targets=targets,
            new_dataset=lambda: Subset(self.dataset, places),
        )

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the samples in order, `batch_size` at a time, on the split's device."""
        if not self.obstacle:
            parts = zip(self.inputs.split(batch_size), self.targets.split(batch_size), strict=True)
            yield from (part for part in parts if len(part[1]))  # an empty tensor has one part
        else:
            generator = torch.Generator()  # the global random state stays as it is
            for inputs, targets in DataLoader(self.dataset, batch_size, generator=generator):
                yield inputs.to(self.device), targets.to(self.device)


def split_of(samples: object, name: str) -> Split:
    """Make a split of a pair of tensors, inputs and targets, or of a map-style dataset.

    A dataset is read once, into memory. The split's tensors are empty if the dataset is too large,
    or does not give the same sample twice.

    Raises:
        TypeError, ValueError: another type, or no samples; the message begins with `name`.

    """
    match samples:
        case Split():
            return samples
        case [Tensor() as inputs, Tensor() as targets]:
            if not 0 < len(inputs) == len(targets):
                raise ValueError(
                    f"{name} has inputs of shape {tuple(inputs.shape)} and targets of shape "
                    f"{tuple(targets.shape)}: give as many inputs as targets, at least one"
                )
            dataset = TensorDataset(inputs, targets)
            return Split(inputs=inputs, targets=targets, new_dataset=lambda: dataset)
    if not (hasattr(samples, "__getitem__") and hasattr(samples, "__len__")):
        raise TypeError(
            f"{name} is of type {type(samples).__name__}: give a pair of tensors, inputs and "
            "targets, or a dataset with a length whose items are such pairs"
        )
    if not len(samples):
        raise ValueError(f"{name} is empty: give at least one sample")
    with torch.random.fork_rng(devices=[]):  # samples may draw random numbers
        return _read(samples, name)


def _read(dataset: Any, name: str) -> Split:
    count = len(dataset)
    needed = 2 * count * sum(each.nbytes for each in _items(dataset, [0], name))
    free = memory.free_bytes()
    if free is not None and needed > free:
        obstacle = f"reading it needs {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free"
        return _unread(dataset, obstacle)
    starts = range(0, count, READ_AT_ONCE)
    read = [_items(dataset, range(at, min(at + READ_AT_ONCE, count)), name) for at in starts]
    inputs, targets = map(torch.cat, zip(*read, strict=True))
    places = [*range(0, count, math.ceil(count / READ_TWICE))]
    again = _items(dataset, places, name)
    if not (torch.equal(again[0], inputs[places]) and torch.equal(again[1], targets[places])):
        return _unread(dataset, "it does not give the same sample twice")
    return Split(inputs=inputs, targets=targets, new_dataset=lambda: dataset)


def _items(dataset: Any, places: Any, name: str) -> list[Tensor]:
    match default_collate([dataset[place] for place in places]):
        case [Tensor() as inputs, Tensor() as targets]:
            return [inputs, targets]
    raise TypeError(
        f"{name} is neither a pair of tensors, inputs and targets, nor a dataset of such pairs"
    )


def _unread(dataset: Dataset[Any], obstacle: str) -> Split:
    empty = torch.empty(0)
    return Split(inputs=empty, targets=empty, new_dataset=lambda: dataset, obstacle=obstacle)
