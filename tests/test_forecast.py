import pytest

from bench import cases
from bench.suite.forecast import Cost, Forecast
from bench.suite.options import Options
from bench.suite.workbench import Workbench
from tests.strategies import new_data

TRAINING = {"engine": "eager", "lr_rule": "fixed"}


@pytest.fixture(scope="module")
def forecast():
    """Of a run on small data, as if a step cost a second and a sample nothing."""
    options = Options(
        batch_sizes=(1,),
        convergence_batch_sizes=(1,),
        engines=("eager",),
        convergence_engines=("eager",),
        alignment_engines=("eager",),
        groups=("1x1", "2x1"),
        shared_engines=("ddp",),
        worker_batch_sizes=(64,),
        worker_epoch_batch_sizes=(64,),
        native_form="fastest",
        epoch_samples=None,
        learning_rate=0.1,
        lr_rules=("fixed",),
        target_accuracy=0.95,
        max_epochs=10,
        seeds=(0, 1),
        threads=None,
        device="cpu",
        data_root=None,
        cache_dir=None,
        force=False,
    )
    data = new_data(train=6_000, test=100)
    found = Forecast(Workbench(options=options, data=data, tell=lambda _: None))
    found._costs["eager"] = Cost(step=1.0, sample=0.0)  # noqa: SLF001
    return found


def test_an_epoch_is_forecast_by_its_steps(forecast):
    """And by a part of it for its memory, and by eight that show what it learns."""
    seconds = forecast.seconds([("epoch", {"engine": "eager", "batch_size": 60})])

    assert seconds == pytest.approx(100 + 34 + 8, abs=1)


def test_a_training_is_forecast_up_to_its_budget(forecast):
    """And a seed that would be left out costs nothing."""
    seconds = [
        forecast.seconds([("convergence", TRAINING | {"batch_size": 6_000, "seed": seed})])
        for seed in (0, 1)
    ]

    assert seconds == [pytest.approx(1 + 10, abs=1), pytest.approx(1, abs=1)]


def test_a_real_cost_is_measured_once():
    """From a first short call; of an engine that must compile, from one that need not."""
    data = new_data(train=2_000, test=100)
    options = Options.__new__(Options)
    object.__setattr__(options, "device", "cpu")
    object.__setattr__(options, "learning_rate", 0.1)
    found = Forecast(Workbench(options=options, data=data, tell=lambda _: None))

    first = found.seconds([("step", {"engine": "compiled", "batch_size": 64})])

    assert first > 0
    assert set(found._costs) == {"eager", "loader"}  # noqa: SLF001


@pytest.mark.parametrize("verb", cases.SECONDS)
def test_a_case_is_timed_as_often_as_its_seconds_allow(verb):
    """Once at the least, and not without end."""
    assert cases.rounds(verb, 1e9) == 1
    assert cases.rounds(verb, 1e-9) == cases.MOST_ROUNDS[verb]
    assert cases.rounds(verb, cases.SECONDS[verb] / 3) == 3
