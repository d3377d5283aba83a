"""What every engine has: a network, and a way to train it."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from mnist_mlp.batches import check_batch_size
from mnist_mlp.data import Split


class CompilerError(Exception):
    """What an engine needs cannot be compiled on this machine."""


class PrecisionError(ValueError):
    """An engine does not compute in the precision that it is asked for."""


class Engine(ABC):
    """A network, (B, 784) to (B, 10), and a way to train it with plain SGD on cross entropy.

    Raises:
        PrecisionError: the engine does not compute in `precision`.

    """

    name: ClassVar[str]  # in the registry
    is_resident: ClassVar[bool] = True  # trains on a split's tensors; False: on its dataset
    needs_compiler: ClassVar[bool] = False  # if so, `prepare` compiles, or raises CompilerError
    precisions: ClassVar[tuple[str, ...]] = ("float32",)  # for the factors of large products

    def __init__(
        self, network: nn.Module, *, learning_rate: float, precision: str = "float32"
    ) -> None:
        self.check_precision(precision)
        self.precision = precision
        self.network = network
        self.learning_rate = learning_rate
        self.parameters: list[Tensor] = list(network.parameters())
        self.device = self.parameters[0].device

    @classmethod
    def check_precision(cls, precision: str) -> None:
        """Refuse a precision that the engine does not compute in.

        Raises:
            PrecisionError: names those that it does.

        """
        if precision not in cls.precisions:
            raise PrecisionError(
                f"the {cls.name} engine has no {precision}, only {', '.join(cls.precisions)}: "
                "choose another precision, or another engine"
            )

    def prepare(self, batch_size: int) -> float:
        """Do the work that would delay the first batch of this size, and return its seconds.

        Raises:
            TypeError, ValueError: not a batch size.
            CompilerError: this machine cannot compile what the engine needs.

        """
        check_batch_size(batch_size)
        return 0.0

    @abstractmethod
    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Update once on a batch, (B, 784) and (B,); return its mean loss before that, a scalar."""

    @abstractmethod
    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:
        """Take steps over the samples that `order`, (n,) int64, lists; the last batch may be short.

        Returns the mean loss of each batch before its update: (steps,) float32.

        Raises:
            TypeError, ValueError: not a batch size; nothing was trained.

        """
