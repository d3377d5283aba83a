"""A small convolutional network, trained with Adam on a sixth of MNIST."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from mnist_mlp import datasets
from mnist_mlp.task import Task

mnist = datasets.load()
train, test = mnist.train.head(10_000), mnist.test.head(2_000)


def new_network() -> nn.Module:
    """Return a network with fresh weights, which takes images, (B, 1, 28, 28)."""
    return nn.Sequential(
        nn.Conv2d(1, 8, kernel_size=5),  # (B, 8, 24, 24)
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, kernel_size=5),  # (B, 16, 8, 8)
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 10),  # (B, 10)
    )


task = Task(
    name="convnet",
    network=new_network,
    train=(train.inputs.reshape(-1, 1, 28, 28), train.targets),
    test=(test.inputs.reshape(-1, 1, 28, 28), test.targets),
    loss=cross_entropy,
    optimizer=lambda parameters, rate: torch.optim.Adam(parameters, lr=rate),
    target=0.94,
    learning_rate=0.001,
    batch_size=32,
)
