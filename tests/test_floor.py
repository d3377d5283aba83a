import pytest
import torch

from bench.instruments import floor
from mnist_mlp import device
from mnist_mlp.engines.native import forms
from tests.strategies import new_split


def test_the_dense_floor_grows_with_samples_and_with_steps():
    """Products set it for large batches, the weights' traffic for small ones."""
    one, few, many = (
        floor.dense_seconds(60_000, steps, precision="float32") for steps in (60_000, 938, 8)
    )

    assert one > few
    assert 0.2 < few / many < 5
    assert 5 < floor.dense_seconds(600_000, 74, precision="float32") / many < 20


def test_the_sparse_floor_grows_with_samples_and_with_the_pixels_that_are_not_0(monkeypatch):
    """In proportion to both, and falls with the threads, which share each row."""
    monkeypatch.setattr(floor, "_cached_seconds", lambda *_: 1e-6)

    with device.threads(1):
        one = floor.sparse_seconds(60_000, 0.25)
        assert floor.sparse_seconds(120_000, 0.5) == pytest.approx(4 * one)
    with device.threads(2):
        assert floor.sparse_seconds(60_000, 0.25) == pytest.approx(one / 2)


def test_the_sparse_floor_is_a_time_that_a_machine_could_take():
    """And measuring it leaves torch's threads as they were."""
    threads = torch.get_num_threads()

    assert 1e-6 < floor.sparse_seconds(60_000, 0.2) < 3600
    assert torch.get_num_threads() == threads


def test_density_counts_pixels():
    """Of the first images."""
    images = torch.zeros(10, 784)
    images[:, :196] = 0.5

    assert forms.density(images) == 0.25


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_floor_is_a_time_that_a_machine_could_take(precision):
    """More than a thousandth of a microsecond a sample, less than a second."""
    split = new_split(2_000, seed=0)

    assert 2e-6 < floor.epoch_seconds(split, 256, precision=precision) < 2_000
