from bench.answer import noise_command
from tests.strategies import new_data


def test_the_noise_scale_is_measured_from_the_first_step_on():
    """A row a measurement, ever further apart, until the budget is spent."""
    table = noise_command.measure(new_data(60, 20))

    steps = [int(step.replace(",", "")) for step in table.columns[0].cells]
    assert steps == [0, 1, 3, 9, 27, 81, 243]  # of 15 an epoch: the first beyond ten epochs ends it
