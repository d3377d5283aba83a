"""The update of a step and an epoch worked out by hand, in numpy and float64."""

import numpy as np


def loss_and_gradients(parameters, images, labels):
    """Mean cross entropy of a 784-256-10 sigmoid network, and its gradient.

    With h = sigmoid(x W1' + b1), p = softmax(h W2' + b2) and one-hot labels y:
    dL/dlogits = (p - y) / B, and the chain rule gives the rest.

    Args:
        parameters: W1 (256, 784), b1 (256,), W2 (10, 256), b2 (10,).
        images: (B, 784).
        labels: (B,).

    """
    w1, b1, w2, b2 = parameters
    hidden = 1 / (1 + np.exp(-(images @ w1.T + b1)))  # (B, 256)
    logits = hidden @ w2.T + b2  # (B, 10)
    logits -= logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(probabilities[rows, labels]).mean()
    d_logits = probabilities.copy()
    d_logits[rows, labels] -= 1
    d_logits /= len(labels)
    d_hidden = d_logits @ w2 * hidden * (1 - hidden)  # (B, 256)
    gradients = (
        d_hidden.T @ images,
        d_hidden.sum(axis=0),
        d_logits.T @ hidden,
        d_logits.sum(axis=0),
    )
    return loss, gradients


def epoch(parameters, images, labels, order, batch_size, *, learning_rate):
    """Parameters after one pass in `order`, and the loss averaged over samples."""
    loss_sum = 0.0
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        loss, gradients = loss_and_gradients(parameters, images[batch], labels[batch])
        loss_sum += loss * len(batch)
        parameters = [
            parameter - learning_rate * gradient
            for parameter, gradient in zip(parameters, gradients, strict=True)
        ]
    return parameters, loss_sum / len(order)
