"""Gradient noise scale: the batch size beyond which more samples stop helping.

B_simple = tr(Sigma) / |G|^2 (McCandlish et al. 2018, arXiv 1812.06162, eq. 2.9): Sigma is the
covariance of the gradients of single samples, G their mean. A batch of B samples drawn without
replacement from N has, on average, |G_B|^2 = |G|^2 + tr(Sigma) f(B), where
f(B) = (N - B) / (B (N - 1)). Two batch sizes give both unknowns without bias (appendix A.1).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from mnist_mlp.data import Split

SAMPLES_AT_ONCE = 256  # gradients of single samples held together: 814 KB each


@dataclass(frozen=True, kw_only=True)
class NoiseScale:
    """B_simple, and the two terms of its ratio."""

    gradient_square: float  # |G|^2
    covariance_trace: float  # tr(Sigma)
    standard_error: float  # of `samples`; 0 for an exact value

    @property
    def samples(self) -> float:
        """B_simple; infinite where the mean gradient cannot be told from zero."""
        if self.gradient_square <= 0:
            return math.inf
        return self.covariance_trace / self.gradient_square


def estimate(
    network: nn.Module,
    split: Split,
    *,
    small: int,
    large: int,
    draws: int,
    generator: torch.Generator,
) -> NoiseScale:
    """Estimate the noise scale from the gradients of batches of two sizes.

    Numerator and denominator are each unbiased, and each is averaged over the draws before the
    division. The standard error is the jackknife's (Efron and Stein 1981).

    Args:
        network: (B, 784) to (B, 10); left as it was.
        split: N samples to draw from, without replacement within a batch.
        small: samples of the smaller batch, at least 1.
        large: samples of the larger batch, at most N.
        draws: pairs of batches, at least 2.
        generator: for the draws.

    Raises:
        ValueError: not 1 <= small < large <= N, or fewer than two draws.

    """
    if not 1 <= small < large <= len(split):
        raise ValueError(
            f"batches of {small} and {large} samples of {len(split)}: the first must be smaller, "
            "the second at most the whole"
        )
    if draws < 2:  # noqa: PLR2004 - one draw has no spread
        raise ValueError(f"{draws} draws have no spread: ask for 2 or more")
    squares = torch.tensor(
        [
            [_gradient_square(network, split, size, generator) for size in (small, large)]
            for _ in range(draws)
        ],
        dtype=torch.float64,
    )  # (draws, 2)
    shares = [_noise_share(len(split), size) for size in (small, large)]
    traces = (squares[:, 0] - squares[:, 1]) / (shares[0] - shares[1])  # (draws,)
    gradient_squares = squares[:, 1] - shares[1] * traces  # (draws,)
    return NoiseScale(
        gradient_square=float(gradient_squares.mean()),
        covariance_trace=float(traces.mean()),
        standard_error=_jackknife_error(traces, gradient_squares),
    )


def exact(network: nn.Module, split: Split) -> NoiseScale:
    """Compute the noise scale from the gradient of every single sample of the split."""
    parameters = {name: value.detach() for name, value in network.named_parameters()}

    def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(network, parameters, (image.unsqueeze(0),))
        return cross_entropy(logits, label.unsqueeze(0))

    of_each = vmap(grad(loss), in_dims=(None, 0, 0))
    total, square = torch.zeros((), dtype=torch.float64), 0.0
    for images, labels in zip(
        split.images.split(SAMPLES_AT_ONCE), split.labels.split(SAMPLES_AT_ONCE), strict=True
    ):
        gradients = torch.cat(
            [each.flatten(start_dim=1) for each in of_each(parameters, images, labels).values()],
            dim=1,
        ).double()  # (samples, parameters)
        total = total + gradients.sum(dim=0)
        square += float(gradients.square().sum())
    gradient_square = float((total / len(split)).square().sum())
    return NoiseScale(
        gradient_square=gradient_square,
        covariance_trace=square / len(split) - gradient_square,
        standard_error=0.0,
    )


def _gradient_square(
    network: nn.Module, split: Split, batch_size: int, generator: torch.Generator
) -> float:
    rows = torch.randperm(len(split), generator=generator)[:batch_size].to(split.images.device)
    loss = cross_entropy(network(split.images[rows]), split.labels[rows])
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    return sum(float(gradient.double().square().sum()) for gradient in gradients)


def _noise_share(samples: int, batch_size: int) -> float:
    """The share f(B) of tr(Sigma) that the squared gradient of a batch holds on average."""
    return (samples - batch_size) / (batch_size * (samples - 1))


def _jackknife_error(numerators: Tensor, denominators: Tensor) -> float:
    """Standard error of the ratio of the means of two (draws,) tensors."""
    draws = len(numerators)
    without_one = (numerators.sum() - numerators) / (denominators.sum() - denominators)
    return float(((draws - 1) * without_one.var(correction=0)).sqrt())
