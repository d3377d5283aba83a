"""The same training in other libraries, as their users write it when they care for speed.

A peer copies the network, 784-256-10, and the samples into its own form, which is not timed. It
returns a function that makes a pass over the samples in the given order, (N,), or in its own order,
and returns the mean loss before each update.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from mnist_mlp.data import CLASSES, PIXELS, Split
from mnist_mlp.model import HIDDEN

Epoch = Callable[[Tensor], float]
Peer = Callable[[nn.Module, Split, int, float], Epoch]  # the numbers: batch size, learning rate


def jax(network: nn.Module, split: Split, batch_size: int, learning_rate: float) -> Epoch:
    """A jit around a scan over the epoch's batches, parameters donated."""
    import jax  # noqa: PLC0415 - an extra
    import jax.numpy as jnp  # noqa: PLC0415

    images = jnp.asarray(split.inputs.numpy())
    labels = jnp.asarray(split.targets.numpy(), dtype=jnp.int32)
    state = tuple(jnp.array(parameter.T) for parameter in _start(network))

    def loss(parameters: Any, images: Any, labels: Any) -> Any:
        hidden_weight, hidden_bias, output_weight, output_bias = parameters
        hidden = jax.nn.sigmoid(images @ hidden_weight + hidden_bias)
        log_shares = jax.nn.log_softmax(hidden @ output_weight + output_bias)
        return -jnp.mean(jnp.take_along_axis(log_shares, labels[:, None], 1))

    def step(parameters: Any, samples: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(parameters, images[samples], labels[samples])
        descended = jax.tree.map(
            lambda parameter, gradient: parameter - learning_rate * gradient, parameters, gradients
        )
        return descended, value

    def steps(parameters: Any, order: Any) -> Any:
        full = len(order) // batch_size
        batches = order[: full * batch_size].reshape(full, batch_size)
        parameters, losses = jax.lax.scan(step, parameters, batches)
        total = losses.sum() * batch_size
        if rest := len(order) % batch_size:
            parameters, last = step(parameters, order[-rest:])
            total += last * rest
        return parameters, total / len(order)

    compiled = jax.jit(steps, donate_argnums=0)

    def epoch(order: Tensor) -> float:
        nonlocal state
        state, mean_loss = compiled(state, order.numpy())
        return float(mean_loss)

    return epoch


def scikit_learn(network: nn.Module, split: Split, batch_size: int, learning_rate: float) -> Epoch:
    """MLPClassifier.partial_fit, which trains for an epoch and shuffles by itself."""
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415 - an extra

    images, labels = split.inputs.numpy(), split.targets.numpy()
    classifier = MLPClassifier(
        HIDDEN,
        activation="logistic",
        solver="sgd",
        alpha=0.0,
        batch_size=batch_size,
        learning_rate_init=learning_rate,
        momentum=0.0,
        nesterovs_momentum=False,
        random_state=0,
    )
    # A first call creates its arrays, which then get our network's values.
    classifier.partial_fit(images[:batch_size], labels[:batch_size], classes=np.arange(CLASSES))
    own = [*zip(classifier.coefs_, classifier.intercepts_, strict=True)]
    for array, value in zip([each for pair in own for each in pair], _start(network), strict=True):
        array[...] = value.T

    def epoch(_: Tensor) -> float:
        classifier.partial_fit(images, labels)
        return float(classifier.loss_)

    return epoch


def keras(network: nn.Module, split: Split, batch_size: int, learning_rate: float) -> Epoch:
    """A Sequential model's fit, on JAX unless KERAS_BACKEND names another; it shuffles itself."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras  # noqa: PLC0415 - an extra

    images, labels = split.inputs.numpy(), split.targets.numpy()
    model = keras.Sequential(
        [
            keras.Input((PIXELS,)),
            keras.layers.Dense(HIDDEN, activation="sigmoid"),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.set_weights([parameter.T for parameter in _start(network)])

    def epoch(_: Tensor) -> float:
        history = model.fit(images, labels, batch_size=batch_size, epochs=1, verbose=0)
        return float(history.history["loss"][0])

    return epoch


def _start(network: nn.Module) -> list[Any]:
    return [parameter.detach().numpy() for parameter in network.parameters()]


PEERS: dict[str, Peer] = {"JAX": jax, "scikit-learn": scikit_learn, "Keras": keras}
MODULES = {"JAX": "jax", "scikit-learn": "sklearn", "Keras": "keras"}
