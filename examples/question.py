"""The question's own script as a task: an MNIST network, plain SGD, one sample per step."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from mnist_mlp import datasets
from mnist_mlp.task import Task


def new_network() -> nn.Module:
    """Return a network with fresh weights, which takes images, (B, 784) or (B, 1, 28, 28)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.Sigmoid(), nn.Linear(256, 10))


mnist = datasets.load()  # 60,000 training samples and 10,000 test samples
task = Task(
    name="question",
    network=new_network,
    train=mnist.train,
    test=mnist.test,
    loss=cross_entropy,
    optimizer=lambda parameters, rate: torch.optim.SGD(parameters, lr=rate),
    target=0.95,
    learning_rate=0.1,
    batch_size=1,
)
