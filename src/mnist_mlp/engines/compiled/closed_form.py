"""One step of plain SGD on the 784-256-10 network, written out for a compiler to fuse.

With h = sigmoid(W1 x + b1), z = W2 h + b2 and p = softmax(z) of each sample x with label y, the
gradients of the mean cross entropy of B samples are dz = (p - onehot(y)) / B,
da = (W2' dz) h (1 - h), dW2 = sum dz h', db2 = sum dz, dW1 = sum da x' and db1 = sum da
(Rumelhart, Hinton and Williams, 1986). A gradient times the learning rate is called a descent.

There are two versions, for few and for many samples, because different code is fast for each. Both
return the batch's mean loss before the update, a scalar.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mnist_mlp.data import CLASSES
from mnist_mlp.engines.compiled.layouts import Layout, total
from mnist_mlp.engines.compiled.products import Product


class Parameters(NamedTuple):
    """The network's parameters, as torch.nn.Linear has them."""

    hidden_weight: Tensor  # (256, 784)
    hidden_bias: Tensor  # (256,)
    output_weight: Tensor  # (10, 256)
    output_bias: Tensor  # (10,)


class Batch(NamedTuple):
    """B samples."""

    images: Tensor  # (B, 784)
    labels: Tensor  # (B,) int64
    weights: Tensor  # (B,): a sample's share of the mean loss, 0 for padding


def step_few(
    parameters: Parameters,
    stored: Tensor,
    batch: Batch,
    learning_rate: Tensor,
    layout: type[Layout],
) -> Tensor:
    """Update the parameters on few samples; `stored` is their hidden weight in `layout`.

    Each row of an activation is a sample. No product calls a library, so that all of them fuse.
    """
    _, hidden_bias, output_weight, output_bias = parameters
    images, labels, weights = batch
    hidden = torch.sigmoid(layout.sums(stored, images) + hidden_bias)  # (B, 256)
    logits = (output_weight * hidden[:, None, :]).sum(2) + output_bias  # (B, 10)
    normaliser = torch.logsumexp(logits, 1)
    truth = (labels[:, None] == torch.arange(CLASSES)).float()
    loss = (weights * (normaliser - (logits * truth).sum(1))).sum()

    scale = (weights * learning_rate)[:, None]
    output_descent = scale * (torch.exp(logits - normaliser[:, None]) - truth)  # (B, 10)
    backward = total(output_descent[:, k, None] * output_weight[k] for k in range(CLASSES))
    hidden_descent = backward * hidden * (1 - hidden)  # (B, 256)
    samples = zip(output_descent, hidden, strict=True)
    output_weight.sub_(total(slope[:, None] * inputs for slope, inputs in samples))
    output_bias.sub_(output_descent.sum(0))
    layout.descend(stored, hidden_descent, images)
    hidden_bias.sub_(hidden_descent.sum(0))
    return loss


def step_many(
    before: Parameters, after: Parameters, batch: Batch, learning_rate: Tensor, product: Product
) -> Tensor:
    """Subtract the descent at `before` from `after`; both may be the same parameters.

    Each column of an activation is a sample, so that both large products read memory in order.
    """
    hidden_weight, hidden_bias, output_weight, output_bias = before
    images, labels, weights = batch
    hidden = torch.sigmoid(product(hidden_weight, images) + hidden_bias[:, None])  # (256, B)
    logits = torch.addmm(output_bias[:, None], output_weight, hidden)  # (10, B)
    normaliser = torch.logsumexp(logits, 0)
    truth = (labels == torch.arange(CLASSES, device=labels.device)[:, None]).float()
    loss = (weights * (normaliser - (logits * truth).sum(0))).sum()

    output_descent = (torch.exp(logits - normaliser) - truth) * (weights * learning_rate)
    hidden_descent = (output_weight.t() @ output_descent) * hidden * (1 - hidden)  # (256, B)
    after.output_weight.sub_(output_descent @ hidden.t())
    after.output_bias.sub_(output_descent.sum(1))
    after.hidden_weight.sub_(product(hidden_descent, images.t()))
    after.hidden_bias.sub_(hidden_descent.sum(1))
    return loss
