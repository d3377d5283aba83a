import pytest
import torch

from bench.measure import floor
from mnist_mlp import device
from mnist_mlp.engines.native import forms
from tests.strategies import new_split


def test_the_dense_floor_is_the_longer_of_products_and_traffic(monkeypatch):
    """Many steps are bound by the traffic of weights, and few steps by products."""
    monkeypatch.setattr(floor, "_product_seconds_per_sample", lambda: 2e-6)
    monkeypatch.setattr(floor, "_weight_traffic_seconds", lambda: 2e-5)
    monkeypatch.setattr(floor, "_gather_seconds_per_sample", lambda: 1e-7)

    many, some, few = (floor.dense_seconds(60_000, steps) for steps in (60_000, 938, 8))

    assert many == pytest.approx(1.206)
    assert some == few == pytest.approx(0.12)


def test_the_sparse_floor_grows_with_samples_and_with_the_pixels_that_are_not_0(monkeypatch):
    """The sparse floor is proportional to samples and to lit pixels, and two threads halve it."""
    monkeypatch.setattr(floor, "_cached_seconds", lambda *_: 1e-6)

    with device.threads(1):
        seconds = floor.sparse_seconds(60_000, 0.25)
        assert floor.sparse_seconds(120_000, 0.5) == pytest.approx(4 * seconds)
    with device.threads(2):
        assert floor.sparse_seconds(60_000, 0.25) == pytest.approx(seconds / 2)


def test_density_counts_pixels():
    """The density is the share of pixels that are not 0, over all images."""
    images = torch.zeros(10, 784)
    images[:, :196] = 0.5

    assert forms.density(images) == 0.25


def test_the_floor_is_a_time_that_a_machine_could_take():
    """The floor is above a nanosecond and below a second per sample, and sets no threads."""
    split, threads = new_split(2_000, seed=0), torch.get_num_threads()

    assert 2e-6 < floor.epoch_seconds(split, 256) < 2_000
    assert 1e-6 < floor.sparse_seconds(60_000, 0.2) < 3600
    assert torch.get_num_threads() == threads
