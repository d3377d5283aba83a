from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from torch.nn.functional import mse_loss
from torch.optim import SGD

from mnist_mlp import engines, training
from mnist_mlp.batches import shuffled
from mnist_mlp.errors import UserError
from tests import closed_form
from tests.strategies import (
    LEARNING_RATE,
    adam,
    batch_sizes,
    engine_names,
    engines_and_tasks,
    generator,
    new_engine,
    new_regression,
    not_batch_sizes,
    parameters_of,
    seeds,
    splits,
    without_dropout,
)


@pytest.mark.parametrize("name", sorted(engines.ENGINES))
def test_an_engine_has_the_name_that_it_is_registered_under(name):
    """Saved runs refer to the engine by this name."""
    assert engines.load(name).name == name


def test_a_name_that_is_not_registered_is_refused():
    """The error for an unknown engine lists the engines."""
    with pytest.raises(UserError, match="'warp' is not an engine: choose from loader, eager"):
        engines.load("warp")


@given(name=engine_names, split=splits(), batch_size=batch_sizes, seed=seeds)
def test_an_epoch_equals_the_one_worked_out_by_hand(name, split, batch_size, seed):
    """Parameters and mean loss match the closed form in float64.

    So every sample is trained on once, in the shuffled order, with a short last batch, and at a
    batch size of N and more in one step of gradient descent.
    """
    engine = new_engine(name)
    by_hand, loss_by_hand = closed_form.epoch(
        [parameter.detach().double().numpy() for parameter in engine.parameters],
        split.inputs.double().numpy(),
        split.targets.numpy(),
        shuffled(len(split), generator=generator(seed)).numpy(),
        batch_size,
        learning_rate=LEARNING_RATE,
    )

    loss = training.epoch(engine, split, batch_size, generator=generator(seed))

    assert loss == pytest.approx(loss_by_hand, rel=1e-4)
    for ours, theirs in zip(engine.parameters, by_hand, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-3, atol=2e-5)


def scheduled(parameters, rate):
    """Plain SGD whose rate falls with every step."""
    optimizer = SGD(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    return optimizer


OPTIMIZERS = {
    "Adam": adam,
    "momentum": partial(SGD, momentum=0.9),
    "another rate": lambda parameters, rate: SGD(parameters, lr=rate / 2),
    "the last layer only": lambda parameters, rate: SGD([*parameters][2:], lr=rate),
    "schedule": scheduled,
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("name", ["loader", "eager", "compiled", "ddp"])
def test_an_epoch_of_another_task_equals_the_one_that_torch_takes_by_hand(name, optimizer):
    """The engine uses the task's own network, loss and optimizer, also for the short last batch."""
    task = new_regression(13, 1, network=without_dropout, optimizer=optimizer)
    engine, network = new_engine(name, task), task.new_network(0)
    updates = optimizer(network.parameters(), task.learning_rate)
    order = shuffled(len(task.train), generator=generator())

    training.epoch(engine, task.train, 4, generator=generator())

    for batch in order.split(4):
        updates.zero_grad()
        mse_loss(network(task.train.inputs[batch]), task.train.targets[batch]).backward()
        updates.step()
    by_hand = torch.nn.utils.parameters_to_vector(network.parameters())
    torch.testing.assert_close(parameters_of(engine), by_hand.detach(), rtol=1e-4, atol=1e-6)


@given(chosen=engines_and_tasks(), batch_size=batch_sizes, seed=seeds)
def test_the_same_seed_gives_the_same_run_whatever_the_global_seed(chosen, batch_size, seed):
    """Runs of one seed are equal bit for bit, and the global random state does not change."""
    name, task = chosen
    runs = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        state_before = torch.get_rng_state()
        engine = new_engine(name, task, seed=seed)
        loss = training.epoch(engine, task.train, batch_size, generator=generator(seed))
        runs.append((loss, parameters_of(engine)))
        assert torch.equal(torch.get_rng_state(), state_before)

    assert runs[0][0] == runs[1][0]
    assert torch.equal(runs[0][1], runs[1][1])


@given(chosen=engines_and_tasks(), batch_size=not_batch_sizes)
def test_a_refused_batch_size_leaves_the_model_unchanged(chosen, batch_size):
    """A wrong batch size is refused before any trial, compilation or change of a parameter."""
    name, task = chosen
    engine, split = new_engine(name, task), task.train
    before = parameters_of(engine)

    with pytest.raises((TypeError, ValueError)):
        training.epoch(engine, split, batch_size, generator=generator())
    with pytest.raises((TypeError, ValueError)):
        engine.prepare(batch_size, split)
    with pytest.raises((TypeError, ValueError)):
        engine.run(split, torch.arange(len(split)), batch_size)

    assert torch.equal(parameters_of(engine), before)
