import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_mlp import checkpoint, clock, evaluation, training
from mnist_mlp.checkpoint import Keeper
from mnist_mlp.convergence import (
    EVALUATIONS_PER_EPOCH,
    GRID_RATIO,
    evaluation_steps,
    evaluations,
    train_until,
)
from mnist_mlp.errors import UserError
from mnist_mlp.evaluation import evaluate
from mnist_mlp.training import NotFiniteError, Walk, fit, resume
from tests.strategies import (
    batch_sizes,
    engines_and_tasks,
    generator,
    new_data,
    new_engine,
    new_regression,
    new_split,
    parameters_of,
    seeds,
    tasks,
)

SETTINGS = {"seed": 0}


def until(engine, task, batch_size, target, *, epochs, **more):
    """Train until the target score, or until the budget of epochs is spent."""
    return train_until(
        engine,
        task,
        batch_size,
        target=target,
        max_epochs=epochs,
        generator=generator(),
        **more,
    )


def new_keeper(folder, **more):
    """A keeper of a run's checkpoints in `folder`."""
    return Keeper(settings=SETTINGS, best=folder / "best.pt", last=folder / "last.pt", **more)


@given(task=tasks(), batch_size=batch_sizes, seed=seeds)
def test_evaluation_depends_on_nothing_but_network_and_split(task, batch_size, seed):
    """Any evaluation batch size gives the same result, and the network stays as it was."""
    engine, split = new_engine("eager", task, seed=seed), task.test
    before = parameters_of(engine)

    whole = evaluate(engine, split)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "CACHE_SIZED_BATCH", batch_size)
        in_batches = evaluate(engine, split)

    if task.is_judged_by_accuracy:
        assert in_batches.score == whole.score
    assert in_batches.score == pytest.approx(whole.score, rel=1e-5)
    assert in_batches.loss == pytest.approx(whole.loss, rel=1e-5)
    assert torch.equal(parameters_of(engine), before)
    assert all(parameter.grad is None for parameter in engine.parameters)
    assert engine.network.training


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    """A network that was changed since its checkpoint cannot go on from there."""
    task, other, keeper = new_data(20, 10), new_regression(20, 10), new_keeper(tmp_path)
    walk = Walk(new_engine("eager", task), task.train, 8, generator=generator())
    list(fit(walk, task.test, epochs=1, keeper=keeper))
    walk = Walk(new_engine("eager", other), other.train, 8, generator=generator())

    with pytest.raises(UserError, match="is of another network or optimizer"):
        resume(walk, checkpoint.load(keeper.last))


@settings(max_examples=12)  # an example writes twenty files and waits for the disk
@given(chosen=engines_and_tasks(), batch_size=batch_sizes, stop=st.integers(1, 2))
def test_a_resumed_run_loses_nothing(tmp_path_factory, chosen, batch_size, stop):
    """Stopped after any epoch and resumed from another state, a run ends bit for bit alike."""
    folder, (name, task) = tmp_path_factory.mktemp("run"), chosen
    straight, stopped = new_engine(name, task), new_engine(name, task)
    walk = Walk(straight, task.train, batch_size, generator=generator())
    keeper = new_keeper(folder)
    reports = list(fit(walk, task.test, epochs=3, keeper=keeper))
    expected_best = checkpoint.load(keeper.best)
    walk = Walk(stopped, task.train, batch_size, generator=generator())
    list(fit(walk, task.test, epochs=stop, keeper=new_keeper(folder)))

    resumed, kept = new_engine(name, task, seed=1), checkpoint.load(keeper.last)
    walk = Walk(resumed, task.train, batch_size, generator=generator(1))
    resume(walk, kept)
    again = new_keeper(folder, best_test_loss=kept.best_test_loss)
    later = fit(walk, task.test, epochs=3, keeper=again)

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
    """The best checkpoint gives the lowest test loss when loaded into a new network."""
    task = new_data(40, 20)
    keeper = new_keeper(tmp_path)

    engine = new_engine("eager", learning_rate=4.0)
    walk = Walk(engine, task.train, 8, generator=generator())
    reports = list(fit(walk, task.test, epochs=12, keeper=keeper))

    best = min(reports, key=lambda report: report.test_loss)
    kept = checkpoint.load(keeper.best)
    again = new_engine("eager")
    again.network.load_state_dict(kept.network)
    assert best.epoch < len(reports), "an overfitting run, or best and last are the same"
    assert kept.epoch == best.epoch
    assert checkpoint.load(keeper.last).epoch == len(reports)
    assert evaluate(again, task.test).loss == pytest.approx(best.test_loss)


@pytest.mark.parametrize("name", ["loader", "eager"])
def test_a_loss_that_is_not_finite_ends_the_run_and_names_step_and_rate(name):
    """The error for a loss that is not finite names the learning rate and the run's step."""
    engine = new_engine(name)
    walk = Walk(engine, new_split(10, seed=1), 4, generator=generator())
    walk.advance(3)
    engine.parameters[0].data.fill_(math.nan)

    with pytest.raises(NotFiniteError, match=r"step 4 is not finite at learning rate 0\.1"):
        walk.advance(3)


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


@given(chosen=engines_and_tasks(), batch_size=batch_sizes)
def test_a_spent_budget_is_a_result(chosen, batch_size):
    """A target out of reach costs exactly the budget and reports the score it got to."""
    name, task = chosen
    engine = new_engine(name, task)

    result = until(engine, task, batch_size, 1.01, epochs=2)

    assert not result.reached
    assert result.epochs == 2
    assert result.steps == 2 * math.ceil(len(task.train) / batch_size)
    assert result.test_score == evaluate(engine, task.test).score


@given(task=tasks(), batch_size=batch_sizes)
def test_time_to_target_ends_at_the_first_evaluation_that_reaches_it(task, batch_size):
    """Training again for the steps that a run took gives the score that the run reported."""
    target = 0.3 if task.is_judged_by_accuracy else task.target
    result = until(new_engine("eager", task), task, batch_size, target, epochs=5)

    again, scores = new_engine("eager", task), [score for *_, score in result.trace]
    Walk(again, task.train, batch_size, generator=generator()).advance(result.steps)
    assert evaluate(again, task.test).score == result.test_score == scores[-1]
    assert result.reached == (result.test_score >= target)
    assert all(score < target for score in scores[:-1])


@given(task=tasks(), batch_size=batch_sizes, last=st.integers(1, 10))
def test_a_watcher_sees_every_evaluation_and_may_end_the_run(task, batch_size, last):
    """A run that its watcher ends has neither reached its target nor diverged."""
    seen = []

    def watch(point):
        seen.append(point)
        return len(seen) == last

    result = until(new_engine("eager", task), task, batch_size, 1.01, epochs=20, watch=watch)

    assert result.trace == tuple((p.train_seconds, p.steps, p.test_score) for p in seen)
    assert (result.steps, result.epochs) == (seen[-1].steps, seen[-1].epochs)
    assert len(seen) == last
    assert not result.reached
    assert not result.diverged
    assert result.epochs < 20


@given(
    task=tasks(),
    batch_size=batch_sizes,
    gaps=st.lists(st.integers(1, 30), min_size=1, max_size=4),
)
def test_evaluations_stand_at_the_steps_that_are_asked_for(task, batch_size, gaps):
    """A step may depend on the evaluation before it; evaluations do not change the training."""
    stopping, straight = new_engine("eager", task), new_engine("eager", task)
    walk, at_once = (
        Walk(engine, task.train, batch_size, generator=generator())
        for engine in (stopping, straight)
    )
    asked, left = [], iter(gaps)

    def next_step(point):
        asked.append(point)
        gap = next(left, None)
        return gap and gap + (point.steps if point else 0)

    points = list(evaluations(walk, task.test, next_step))

    assert asked == [None, *points]
    assert [point.steps for point in points] == list(itertools.accumulate(gaps))
    assert not any(point.diverged for point in points)
    at_once.advance(sum(gaps))
    assert (walk.steps, walk.epochs) == (at_once.steps, at_once.epochs)
    assert torch.equal(parameters_of(stopping), parameters_of(straight))
    assert points[-1].test_score == evaluate(straight, task.test).score


def test_the_clock_is_paused_while_an_evaluation_is_made_and_looked_at(monkeypatch):
    """Only training counts: here one second per stretch of steps."""
    task, now = new_data(10, 5), [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    advance = Walk.advance

    def ticks(walk, steps):
        now[0] += 1
        return advance(walk, steps)

    monkeypatch.setattr(Walk, "advance", ticks)
    walk = Walk(new_engine("eager"), task.train, 10, generator=generator())

    seconds = []
    for point in evaluations(walk, task.test, lambda last: 1 + (last.steps if last else 0)):
        now[0] += 100
        seconds.append(point.train_seconds)
        if point.steps == 3:
            break

    assert seconds == [1, 2, 3]


@pytest.mark.parametrize("new_task", [new_data, new_regression])
def test_a_run_that_diverges_is_censored_at_once(new_task):
    """A run that diverges ends at once, has not reached its target, and has a finite score."""
    task = new_task(10, 5)
    engine = new_engine("eager", task)
    engine.parameters[0].data.fill_(math.nan)

    result = until(engine, task, 4, 1e-9, epochs=10)

    assert not result.reached
    assert math.isfinite(result.test_score)
    assert result.diverged
    assert result.steps == len(result.trace) == 1


@pytest.mark.parametrize("name", ["loader", "eager"])
def test_training_learns_to_read_digits(name, mnist):
    """After one pass over a tenth of the training set, three test digits in four are right."""
    engine = new_engine(name)

    training.epoch(engine, mnist.train.head(6_000), 10, generator=generator())

    assert evaluate(engine, mnist.test).score > 0.75
