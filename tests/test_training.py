import itertools
import math
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mnist_mlp import checkpoint, training
from mnist_mlp.checkpoint import Keeper
from mnist_mlp.convergence import (
    EVALUATIONS_PER_EPOCH,
    GRID_RATIO,
    evaluation_steps,
    train_until,
)
from mnist_mlp.evaluation import evaluate
from mnist_mlp.training import NotFiniteError, Walk, fit, resume
from tests.strategies import (
    batch_sizes,
    datasets,
    engine_names,
    generator,
    new_data,
    new_engine,
    parameters_of,
    seeds,
    splits,
)

SETTINGS = {"seed": 0}


def new_keeper(folder, **more):
    """Keeps a run's checkpoints in that folder."""
    return Keeper(settings=SETTINGS, best=folder / "best.pt", last=folder / "last.pt", **more)


@given(
    split=splits(),
    batch_size=batch_sizes,
    stretches=st.lists(st.integers(1, 30), min_size=1, max_size=4),
)
def test_a_walk_is_the_same_in_stretches_of_any_length(split, batch_size, stretches):
    """Stopping to evaluate changes neither parameters nor counts."""
    stopping, straight = new_engine("eager"), new_engine("eager")
    in_stretches = Walk(stopping, split, batch_size, generator=generator())
    at_once = Walk(straight, split, batch_size, generator=generator())

    for stretch in stretches:
        in_stretches.advance(stretch)
    at_once.advance(sum(stretches))

    assert in_stretches.steps == at_once.steps == sum(stretches)
    assert in_stretches.epochs == at_once.epochs
    assert torch.equal(parameters_of(stopping), parameters_of(straight))


@given(split=splits(), batch_size=batch_sizes, seed=seeds)
def test_evaluation_depends_on_nothing_but_network_and_split(split, batch_size, seed):
    """Any evaluation batch size gives the same result, and the network stays as it was."""
    engine = new_engine("eager", seed=seed)
    before = parameters_of(engine)

    whole = evaluate(engine.network, split)
    in_batches = evaluate(engine.network, split, batch_size=batch_size)

    assert in_batches.accuracy == whole.accuracy
    assert in_batches.loss == pytest.approx(whole.loss, rel=1e-5)
    assert torch.equal(parameters_of(engine), before)
    assert all(parameter.grad is None for parameter in engine.parameters)


@given(name=engine_names, data=datasets(), batch_size=batch_sizes, stop=st.integers(1, 2))
def test_a_resumed_run_loses_nothing(tmp_path_factory, name, data, batch_size, stop):
    """Stopped after any epoch and resumed from another state, a run ends bit for bit alike."""
    folder = tmp_path_factory.mktemp("run")
    straight, stopped = new_engine(name), new_engine(name)
    walk = Walk(straight, data.train, batch_size, generator=generator())
    keeper = new_keeper(folder)
    reports = list(fit(walk, data.test, epochs=3, keeper=keeper))
    expected_best = checkpoint.load(keeper.best)
    walk = Walk(stopped, data.train, batch_size, generator=generator())
    list(fit(walk, data.test, epochs=stop, keeper=new_keeper(folder)))

    resumed, kept = new_engine(name, seed=1), checkpoint.load(keeper.last)
    walk = Walk(resumed, data.train, batch_size, generator=generator(1))
    resume(walk, kept)
    again = new_keeper(folder, best_test_loss=kept.best_test_loss)
    later = fit(walk, data.test, epochs=3, keeper=again)

    assert [(r.epoch, r.train_loss, r.test_loss) for r in later] == [
        (r.epoch, r.train_loss, r.test_loss) for r in reports[stop:]
    ]
    assert torch.equal(parameters_of(resumed), parameters_of(straight))
    best, last = checkpoint.load(keeper.best), checkpoint.load(keeper.last)
    assert best.epoch == expected_best.epoch
    assert last.best_test_loss == best.test_loss == expected_best.test_loss
    assert last.settings == best.settings == SETTINGS
    assert all(torch.equal(best.network[k], v) for k, v in expected_best.network.items())


def test_the_best_checkpoint_has_the_lowest_test_loss(tmp_path):
    """Of all epochs reported, and it reproduces that loss when loaded into a new network."""
    data = new_data(40, 20)
    keeper = new_keeper(tmp_path)

    engine = new_engine("eager", learning_rate=4.0)
    walk = Walk(engine, data.train, 8, generator=generator())
    reports = list(fit(walk, data.test, epochs=12, keeper=keeper))

    best = min(reports, key=lambda report: report.test_loss)
    kept = checkpoint.load(keeper.best)
    again = new_engine("eager")
    again.network.load_state_dict(kept.network)
    assert best.epoch < len(reports), "an overfitting run, or best and last are the same"
    assert kept.epoch == best.epoch
    assert checkpoint.load(keeper.last).epoch == len(reports)
    assert evaluate(again.network, data.test).loss == pytest.approx(best.test_loss)


@pytest.mark.parametrize("name", ["loader", "eager"])
def test_a_loss_that_is_not_finite_ends_the_run_and_names_step_and_rate(name, tmp_path):
    """The step is counted from the run's start; what was kept before it stays."""
    data = new_data(10, 5)
    keeper = new_keeper(tmp_path)
    engine = new_engine(name)
    walk = Walk(engine, data.train, 4, generator=generator())
    list(fit(walk, data.test, epochs=1, keeper=keeper))
    kept = keeper.best.read_bytes()
    engine.parameters[0].data.fill_(math.nan)
    poisoned = checkpoint.load(keeper.last)
    poisoned.network["output.bias"].fill_(math.inf)

    walk = Walk(engine, data.train, 4, generator=generator())
    resume(walk, poisoned)
    with pytest.raises(NotFiniteError, match=r"step 4 is not finite at learning rate 0\.1"):
        list(fit(walk, data.test, epochs=2, keeper=keeper))

    assert keeper.best.read_bytes() == kept


@given(steps_per_epoch=st.integers(1, 60_000), max_epochs=st.integers(1, 100))
def test_evaluations_stand_on_a_geometric_grid_that_ends_with_the_budget(
    steps_per_epoch, max_epochs
):
    """Steps rise by a tenth or by a fiftieth of an epoch, and the last is the budget itself."""
    steps = [0, *evaluation_steps(steps_per_epoch, max_epochs=max_epochs)]

    assert steps[-1] == max_epochs * steps_per_epoch
    for earlier, later in itertools.pairwise(steps):
        largest_gap = max(1, steps_per_epoch / EVALUATIONS_PER_EPOCH, earlier * (GRID_RATIO - 1))
        assert 0 < later - earlier <= largest_gap + 1


@given(name=engine_names, data=datasets(), batch_size=batch_sizes)
def test_a_spent_budget_is_a_result(name, data, batch_size):
    """A target out of reach costs exactly the budget and reports the accuracy it got to."""
    engine = new_engine(name)

    found = train_until(
        engine, data, batch_size, target_accuracy=1.01, max_epochs=2, generator=generator()
    )

    assert not found.reached
    assert found.epochs == 2
    assert found.steps == 2 * math.ceil(len(data.train) / batch_size)
    assert found.test_accuracy == evaluate(engine.network, data.test).accuracy


@given(data=datasets(), batch_size=batch_sizes)
def test_time_to_target_ends_at_the_first_evaluation_that_reaches_it(data, batch_size):
    """Repeating the run for the steps it took gives the accuracy it reports."""
    accuracies = []
    found = train_until(
        new_engine("eager"),
        data,
        batch_size,
        target_accuracy=0.3,
        max_epochs=5,
        generator=generator(),
        watch=lambda point: accuracies.append(point.test_accuracy),
    )

    again = new_engine("eager")
    Walk(again, data.train, batch_size, generator=generator()).advance(found.steps)
    assert evaluate(again.network, data.test).accuracy == found.test_accuracy == accuracies[-1]
    assert found.reached == (found.test_accuracy >= 0.3)
    assert all(accuracy < 0.3 for accuracy in accuracies[:-1])


@given(data=datasets(), batch_size=batch_sizes, last=st.integers(1, 10))
def test_a_watcher_sees_every_evaluation_and_may_end_the_run(data, batch_size, last):
    """The run then neither reached its target nor diverged, and has budget left."""
    seen = []

    def watch(point):
        seen.append(point)
        return len(seen) == last

    found = train_until(
        new_engine("eager"),
        data,
        batch_size,
        target_accuracy=1.01,
        max_epochs=20,
        generator=generator(),
        watch=watch,
    )

    assert found.trace == tuple((p.train_seconds, p.steps, p.test_accuracy) for p in seen)
    assert (found.steps, found.epochs) == (seen[-1].steps, seen[-1].epochs)
    assert len(seen) == last
    assert not found.reached
    assert not found.diverged
    assert found.epochs < 20


def test_the_clock_is_paused_while_a_watcher_looks():
    """A slow watcher costs no training time."""
    data = new_data(10, 5)
    found = train_until(
        new_engine("eager"),
        data,
        10,
        target_accuracy=1.01,
        max_epochs=3,
        generator=generator(),
        watch=lambda _: time.sleep(0.2),
    )

    assert found.train_seconds < 0.2


def test_a_run_that_diverges_is_censored_at_once():
    """It never counts as reached, and doesn't spend the rest of its budget."""
    data = new_data(10, 5)
    engine = new_engine("eager")
    engine.parameters[0].data.fill_(math.nan)

    found = train_until(engine, data, 4, target_accuracy=1e-9, max_epochs=10, generator=generator())

    assert not found.reached
    assert found.diverged
    assert found.steps == 1


@pytest.mark.parametrize("name", ["loader", "eager"])
def test_training_learns_to_read_digits(name, mnist):
    """One pass over a tenth of the real training set, and three test digits in four are right."""
    engine = new_engine(name)

    training.epoch(engine, mnist.train.head(6_000), 10, generator=generator())

    assert evaluate(engine.network, mnist.test).accuracy > 0.75
