import pytest

from bench.instruments import floor


def test_the_floor_grows_with_samples_and_with_steps():
    """Products set it for large batches, the weights' traffic for small ones."""
    one, few, many = (
        floor.epoch_seconds(60_000, size, precision="float32") for size in (1, 64, 8192)
    )

    assert one > few
    assert 0.2 < few / many < 5
    assert 5 < floor.epoch_seconds(600_000, 8192, precision="float32") / many < 20


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_floor_is_a_time_that_a_machine_could_take(precision):
    """More than a millionth of a second an epoch, less than an hour."""
    assert 1e-6 < floor.epoch_seconds(60_000, 256, precision=precision) < 3600
