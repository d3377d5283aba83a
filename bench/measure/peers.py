"""The same training in other libraries, as their users write it when they care for speed.

A peer starts from the network and holds the samples in its own form; nothing of that is timed.
"""

import os
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from torch import Tensor, nn

from mnist_mlp.data import CLASSES, PIXELS, Split
from mnist_mlp.model import HIDDEN


class Peer(ABC):
    """A library's copy of the network, and its way to train it.

    Args:
        network: to start from, 784-256-10.
        split: N samples.
        batch_size: at most N.
        learning_rate: of plain SGD.

    """

    def __init__(
        self, network: nn.Module, split: Split, batch_size: int, *, learning_rate: float
    ) -> None:
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.start = [parameter.detach().numpy() for parameter in network.parameters()]
        self.images, self.labels = split.images.numpy(), split.labels.numpy()

    @abstractmethod
    def epoch(self, order: Tensor) -> float:
        """One pass in this order, (N,), or one of its own; the mean loss before each update."""


class Jax(Peer):
    """jit around a scan over the epoch's batches, parameters donated."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        import jax  # noqa: PLC0415 - an extra
        import jax.numpy as jnp  # noqa: PLC0415

        def loss(parameters: Any, images: Any, labels: Any) -> Any:
            hidden_weight, hidden_bias, output_weight, output_bias = parameters
            hidden = jax.nn.sigmoid(images @ hidden_weight + hidden_bias)
            log_shares = jax.nn.log_softmax(hidden @ output_weight + output_bias)
            return -jnp.mean(jnp.take_along_axis(log_shares, labels[:, None], 1))

        def step(parameters: Any, samples: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(
                parameters, images[samples], labels[samples]
            )
            descended = jax.tree.map(
                lambda parameter, gradient: parameter - self.learning_rate * gradient,
                parameters,
                gradients,
            )
            return descended, value

        def epoch(parameters: Any, order: Any) -> Any:
            full = len(order) // self.batch_size
            batches = order[: full * self.batch_size].reshape(full, self.batch_size)
            parameters, losses = jax.lax.scan(step, parameters, batches)
            total = losses.sum() * self.batch_size
            if rest := len(order) % self.batch_size:
                parameters, last = step(parameters, order[-rest:])
                total += last * rest
            return parameters, total / len(order)

        images, labels = jnp.asarray(self.images), jnp.asarray(self.labels, dtype=jnp.int32)
        self._parameters = tuple(jnp.array(parameter.T) for parameter in self.start)
        self._epoch = jax.jit(epoch, donate_argnums=0)

    def epoch(self, order: Tensor) -> float:  # noqa: D102
        self._parameters, loss = self._epoch(self._parameters, order.numpy())
        return float(loss)


class ScikitLearn(Peer):
    """MLPClassifier.partial_fit, which is an epoch; it shuffles by itself."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        from sklearn.neural_network import MLPClassifier  # noqa: PLC0415 - an extra

        self._classifier = MLPClassifier(
            HIDDEN,
            activation="logistic",
            solver="sgd",
            alpha=0.0,
            batch_size=self.batch_size,
            learning_rate_init=self.learning_rate,
            momentum=0.0,
            nesterovs_momentum=False,
            random_state=0,
        )
        # Its arrays come to be in a first call; they then get our network's values.
        first = np.arange(self.batch_size)
        self._classifier.partial_fit(
            self.images[first], self.labels[first], classes=np.arange(CLASSES)
        )
        own = [*zip(self._classifier.coefs_, self._classifier.intercepts_, strict=True)]
        for array, value in zip([each for pair in own for each in pair], self.start, strict=True):
            array[...] = value.T

    def epoch(self, order: Tensor) -> float:  # noqa: ARG002, D102
        self._classifier.partial_fit(self.images, self.labels)
        return float(self._classifier.loss_)


class Keras(Peer):
    """A Sequential model's fit, on JAX unless KERAS_BACKEND names another; it shuffles itself."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        os.environ.setdefault("KERAS_BACKEND", "jax")
        import keras  # noqa: PLC0415 - an extra

        self._model = keras.Sequential(
            [
                keras.Input((PIXELS,)),
                keras.layers.Dense(HIDDEN, activation="sigmoid"),
                keras.layers.Dense(CLASSES),
            ]
        )
        self._model.compile(
            optimizer=keras.optimizers.SGD(self.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self._model.set_weights([parameter.T for parameter in self.start])

    def epoch(self, order: Tensor) -> float:  # noqa: ARG002, D102
        history = self._model.fit(
            self.images, self.labels, batch_size=self.batch_size, epochs=1, verbose=0
        )
        return float(history.history["loss"][0])


PEERS: dict[str, type[Peer]] = {"JAX": Jax, "scikit-learn": ScikitLearn, "Keras": Keras}
MODULES = {"JAX": "jax", "scikit-learn": "sklearn", "Keras": "keras"}
