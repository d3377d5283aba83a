"""A task as a user would write it. Tests copy it to a file, also with mistakes in it."""

import itertools

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from mnist_mlp.task import Task

counts = itertools.count()


def samples(count, seed):
    """Points of four classes."""
    inputs = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return inputs, (inputs[:, 0] > 0).long() + 2 * (inputs[:, 1] > 0).long()


def network():
    """A network with one hidden layer."""
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))


def optimizer(parameters, rate):
    """An optimizer that has a state."""
    return torch.optim.Adam(parameters, lr=rate)


task = Task(
    name="mine",
    network=network,
    train=samples(120, 0),
    test=samples(50, 1),
    loss=cross_entropy,
    optimizer=optimizer,
    target=0.95,
    learning_rate=0.01,
    batch_size=8,
)
