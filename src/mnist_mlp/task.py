"""A task: what is trained. The default one is the question's, in datasets.py."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mnist_mlp.batches import clamped
from mnist_mlp.data import Split, split_of
from mnist_mlp.device import Randomness
from mnist_mlp.errors import UserError

FEWEST_CLASSES = 2
LONGEST_NAME = 100  # letters; files are named by the task

Network = TypeVar("Network", bound=nn.Module)


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share of targets, (B, ...), that have the largest of the outputs, (B, ..., C).

    Raises:
        ValueError: the shapes do not fit.

    """
    if outputs.shape[:-1] != targets.shape or outputs.shape[-1] < FEWEST_CLASSES:
        raise ValueError(
            f"outputs of shape {tuple(outputs.shape)} and targets of shape {tuple(targets.shape)} "
            "have no accuracy: give the task a score"
        )
    return (outputs.argmax(dim=-1) == targets).double().mean()


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What is trained, and what counts as trained.

    Raises:
        TypeError, ValueError: a field's type or value is not allowed.

    """

    name: str
    network: Callable[[], nn.Module]  # makes a fresh network on the CPU; torch is seeded around it
    train: Split  # a Split, or samples that `split_of` takes
    test: Split  # a Split, or samples that `split_of` takes
    # (outputs, targets) -> mean over the batch, a scalar that is differentiated
    loss: Callable[[Tensor, Tensor], Tensor]
    # (the network's parameters, learning rate) -> optimizer
    optimizer: Callable[[Iterable[nn.Parameter], float], Optimizer]
    target: float  # the score on the test set that training must reach
    # The settings that the user trains with today.
    learning_rate: float
    batch_size: int
    # (outputs, targets) -> mean over samples; higher is better
    score: Callable[[Tensor, Tensor], Tensor | float] = accuracy

    def __post_init__(self) -> None:
        for field in ("train", "test"):
            object.__setattr__(self, field, split_of(getattr(self, field), field))
        for field in ("network", "loss", "optimizer", "score"):
            if not callable(getattr(self, field)):
                raise TypeError(f"{field} is {getattr(self, field)!r}: give a function")
        if isinstance(self.network, nn.Module):
            raise TypeError("network is a single network: give a function that makes networks")
        name = self.name
        if not (isinstance(name, str) and name.isprintable() and name.strip() and "/" not in name):
            raise ValueError(f"name is {name!r}: give one or a few words, without /")
        if len(name) > LONGEST_NAME:
            raise ValueError(f"name has {len(name)} letters: give at most {LONGEST_NAME}")
        if not (_is_finite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate is {self.learning_rate!r}: give a number above 0")
        if not _is_finite(self.target):
            raise ValueError(f"target is {self.target!r}: give a number")
        if self.is_judged_by_accuracy and not 0 < self.target <= 1:
            raise ValueError(
                f"target is {self.target!r}: an accuracy is above 0 and at most 1, such as 0.95"
            )
        clamped(self.batch_size, len(self.train))

    @property
    def is_judged_by_accuracy(self) -> bool:
        """Whether the score is the share of samples that are right."""
        return self.score is accuracy

    @property
    def score_name(self) -> str:
        """The name of the score on the test set in tables and sentences."""
        return "test accuracy" if self.is_judged_by_accuracy else "test score"

    def with_target_accuracy(self, accuracy: float | None) -> "Task":
        """Return the task with the target of --target-accuracy; without one, the same task."""
        if accuracy and not self.is_judged_by_accuracy:
            raise UserError(
                f"--target-accuracy does not fit {self.name}, which has a score of its own: set "
                "the target in the task"
            )
        return replace(self, target=accuracy or self.target)

    def new_network(self, seed: int) -> nn.Module:
        """Make a network, which depends only on `seed`, on the device of the training set."""
        return seeded(self.network, seed=seed).to(self.train.device)


def _is_finite(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


def seeded(network: Callable[[], Network], *, seed: int) -> Network:
    """Make a network after seeding torch, and leave the global random state as it was."""
    with Randomness(torch.device("cpu")).used(seed=seed):
        return network()
