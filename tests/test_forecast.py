from argparse import Namespace

import pytest

from bench import cases
from bench.suite.forecast import Cost, Forecast
from bench.suite.workbench import Workbench
from mnist_mlp.task_source import Source
from tests.strategies import new_data

TRAINING = {"engine": "eager", "lr_rule": "fixed"}


def new_forecast(**data):
    """A forecast of a run on small data."""
    options = Namespace(
        **dict.fromkeys(("epoch_samples", "full")),
        lr=0.1,
        task=None,
        max_epochs=10,
        seeds=(0, 1),
        device="cpu",
        native_form="fastest",
    )
    return Forecast(
        Workbench(options=options, source=Source(), task=new_data(**data), tell=lambda _: None)
    )


@pytest.fixture(scope="module")
def forecast():
    """A forecast for which a step takes a second, and samples and evaluations take none."""
    made = new_forecast(train=6_000, test=100)
    made.costs["eager"] = Cost(step=1.0, sample=0.0, evaluation=0.0)
    return made


def test_an_epoch_is_forecast_by_its_steps(forecast):
    """An epoch takes its steps, two parts of it for memory and seconds, and 8 for losses."""
    seconds = forecast.seconds([("epoch", {"engine": "eager", "batch_size": 60})])

    assert seconds == pytest.approx(100 + 2 * 34 + 8, abs=1)
    assert forecast.epoch_seconds("eager", 60) == 100


def test_a_training_is_forecast_up_to_its_budget(forecast):
    """A later seed, which would be left out, adds no training."""
    seconds = [
        forecast.seconds([("convergence", TRAINING | {"batch_size": 6_000, "seed": seed})])
        for seed in (0, 1)
    ]

    assert seconds == [pytest.approx(1 + 10, abs=1), pytest.approx(1, abs=1)]


def test_a_real_cost_is_measured_once():
    """A cost is measured once, by a short call; the eager engine stands in for compiled."""
    made = new_forecast(train=2_000, test=100)

    first = made.seconds([("step", {"engine": "compiled", "batch_size": 64})])

    assert first > 0
    assert set(made.costs) == {"eager", "loader"}


@pytest.mark.parametrize("verb", cases.SECONDS)
def test_a_case_is_timed_as_often_as_its_seconds_allow(verb):
    """A case is timed at least once, and at most `MOST_ROUNDS` times."""
    assert cases.rounds(verb, 1e9) == 1
    assert cases.rounds(verb, 1e-9) == cases.MOST_ROUNDS[verb]
    assert cases.rounds(verb, cases.SECONDS[verb] / 3) == 3
