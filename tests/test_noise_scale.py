import math

import pytest
import torch

from mnist_mlp import noise_scale
from mnist_mlp.model import MLP
from mnist_mlp.noise_scale import NoiseScale
from tests.strategies import generator, new_split, parameters_of_network

SAMPLES = 60


@pytest.fixture(scope="module")
def split():
    """A small training set."""
    return new_split(SAMPLES, seed=1)


@pytest.fixture(scope="module")
def exact(split):
    """The noise scale from the gradient of every sample."""
    return noise_scale.exact(MLP(seed=0), split)


def gradient_of(network, split, rows):
    """The mean gradient over these samples, in float64."""
    logits = network(split.images[rows])
    loss = torch.nn.functional.cross_entropy(logits, split.labels[rows])
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients]).double()


def test_the_exact_value_is_the_covariance_of_single_gradients(split, exact):
    """One sample at a time, with autograd."""
    network = MLP(seed=0)
    gradients = torch.stack([gradient_of(network, split, [row]) for row in range(SAMPLES)])
    mean = gradients.mean(dim=0)

    assert exact.gradient_square == pytest.approx(float(mean.square().sum()), rel=1e-5)
    trace = float((gradients - mean).square().sum() / SAMPLES)
    assert exact.covariance_trace == pytest.approx(trace, rel=1e-5)
    assert exact.samples == pytest.approx(trace / float(mean.square().sum()), rel=1e-4)


@pytest.mark.parametrize(("small", "large"), [(1, 8), (2, 30), (4, SAMPLES)])
def test_the_estimate_is_unbiased_within_its_own_interval(split, exact, small, large):
    """Whatever the two batch sizes, the whole split among them."""
    estimate = noise_scale.estimate(
        MLP(seed=0), split, small=small, large=large, draws=400, generator=generator()
    )

    assert estimate.standard_error > 0
    assert abs(estimate.samples - exact.samples) < 3 * estimate.standard_error
    assert estimate.covariance_trace == pytest.approx(exact.covariance_trace, rel=0.1)


def test_the_estimate_tightens_with_draws(split):
    """Its standard error falls as the root of their number."""
    errors = [
        noise_scale.estimate(
            MLP(seed=0), split, small=2, large=30, draws=draws, generator=generator()
        ).standard_error
        for draws in (50, 800)
    ]

    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.5)


def test_the_network_is_left_as_it_was(split):
    """Parameters, gradients and the global random state."""
    network = MLP(seed=0)
    before, state = parameters_of_network(network), torch.get_rng_state()

    noise_scale.estimate(network, split, small=1, large=8, draws=2, generator=generator())
    noise_scale.exact(network, split)

    assert torch.equal(parameters_of_network(network), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_mean_gradient_lost_in_noise_has_no_finite_scale():
    """A small sample may put the unbiased estimate of |G|^2 below zero."""
    scale = NoiseScale(gradient_square=-0.1, covariance_trace=1.0, standard_error=0.0)

    assert scale.samples == math.inf


@pytest.mark.parametrize(
    ("small", "large", "draws", "sentence"),
    [
        (0, 8, 10, "batches of 0 and 8 samples of 60"),
        (8, 8, 10, "batches of 8 and 8 samples of 60"),
        (8, 61, 10, "batches of 8 and 61 samples of 60"),
        (1, 8, 1, "1 draws have no spread"),
    ],
)
def test_what_gives_no_estimate_is_refused(split, small, large, draws, sentence):
    """Before a gradient is taken."""
    with pytest.raises(ValueError, match=sentence):
        noise_scale.estimate(
            MLP(seed=0), split, small=small, large=large, draws=draws, generator=generator()
        )
