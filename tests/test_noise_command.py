"""The noise scale along a run."""

import itertools

import pytest

from bench.answer import noise_command
from bench.answer.noise_command import Point
from mnist_mlp.noise_scale import NoiseScale
from tests.strategies import new_data


def test_the_noise_scale_is_measured_from_the_first_step_on():
    """Ever further apart, until the budget of ten epochs is spent."""
    points = list(noise_command.along(new_data(60, 20), 4, 0.1))

    steps = [point.steps for point in points]
    assert steps[:6] == [0, 1, 2, 3, 4, 5]
    assert steps[-2] < 150 <= steps[-1]
    assert all(later <= 1.3 * step + 1 for step, later in itertools.pairwise(steps))
    assert noise_command.table(points).row_count == len(points)


def test_a_measurement_counts_for_the_steps_around_it():
    """However close the first ones stand."""
    points = [
        Point(
            steps=steps,
            test_accuracy=0.5,
            noise=NoiseScale(gradient_square=1.0, covariance_trace=scale, standard_error=0.0),
        )
        for steps, scale in ((0, 100.0), (1, 100.0), (2, 20.0), (100, 20.0))
    ]

    assert "Averaged over the 100 steps: B_simple 21; " in noise_command.average(points)


@pytest.mark.parametrize("scale", [3.0, 700.0])
def test_a_scale_that_does_not_change_is_its_own_average(scale):
    """By both ways to average."""
    noise = NoiseScale(gradient_square=2.0, covariance_trace=2 * scale, standard_error=0.0)
    points = [Point(steps=steps, test_accuracy=0.5, noise=noise) for steps in (0, 1, 50)]

    text = noise_command.average(points)

    assert f"B_simple {scale:,.0f}; " in text
    assert text.endswith(f"averaged first, {scale:,.0f}.")
