import numpy as np
import pytest
import torch
from hypothesis import given

from mnist_mlp import engines, training
from mnist_mlp.batches import shuffled
from mnist_mlp.errors import UserError
from tests import closed_form
from tests.strategies import (
    LEARNING_RATE,
    batch_sizes,
    engine_names,
    generator,
    new_engine,
    not_batch_sizes,
    parameters_of,
    seeds,
    splits,
)


@pytest.mark.parametrize("name", sorted(engines.ENGINES))
def test_an_engine_has_the_name_that_it_is_registered_under(name):
    """Saved runs refer to it."""
    assert engines.load(name).name == name


def test_a_name_that_is_not_registered_is_refused():
    """The sentence lists the engines."""
    with pytest.raises(UserError, match="'warp' is no engine: choose from loader, eager"):
        engines.load("warp")


@given(name=engine_names, split=splits(), batch_size=batch_sizes, seed=seeds)
def test_an_epoch_equals_the_one_worked_out_by_hand(name, split, batch_size, seed):
    """Parameters and mean loss match the closed form in float64, short last batch included.

    So every sample is trained on once, in the shuffled order.
    """
    engine = new_engine(name)
    by_hand, loss_by_hand = closed_form.epoch(
        [parameter.detach().double().numpy() for parameter in engine.parameters],
        split.images.double().numpy(),
        split.labels.numpy(),
        shuffled(len(split), generator=generator(seed)).numpy(),
        batch_size,
        learning_rate=LEARNING_RATE,
    )

    loss = training.epoch(engine, split, batch_size, generator=generator(seed))

    assert loss == pytest.approx(loss_by_hand, rel=1e-4)
    for ours, theirs in zip(engine.parameters, by_hand, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-3, atol=2e-5)


@given(name=engine_names, split=splits(), excess=batch_sizes)
def test_a_batch_size_of_at_least_n_is_one_gradient_descent_step(name, split, excess):
    """It equals one step on the whole split, in any order, within rounding."""
    one_step, whole_batch = new_engine(name), new_engine(name)

    one_step.step(split.images, split.labels)
    training.epoch(whole_batch, split, len(split) + excess - 1, generator=generator())

    torch.testing.assert_close(
        parameters_of(whole_batch), parameters_of(one_step), rtol=1e-4, atol=1e-6
    )


@given(name=engine_names, split=splits(), batch_size=batch_sizes, seed=seeds)
def test_the_same_seed_gives_the_same_run_whatever_the_global_seed(name, split, batch_size, seed):
    """Bit for bit; and the global random state is left as it was."""
    runs = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        state_before = torch.get_rng_state()
        engine = new_engine(name, seed=seed)
        loss = training.epoch(engine, split, batch_size, generator=generator(seed))
        runs.append((loss, parameters_of(engine)))
        assert torch.equal(torch.get_rng_state(), state_before)

    assert runs[0][0] == runs[1][0]
    assert torch.equal(runs[0][1], runs[1][1])


@given(name=engine_names, split=splits(), batch_size=not_batch_sizes)
def test_a_refused_batch_size_leaves_the_model_unchanged(name, split, batch_size):
    """Whether it reaches the epoch or the engine itself, before any trial or compilation."""
    engine = new_engine(name)
    before = parameters_of(engine)

    with pytest.raises((TypeError, ValueError)):
        training.epoch(engine, split, batch_size, generator=generator())
    with pytest.raises((TypeError, ValueError)):
        engine.prepare(batch_size, split)
    with pytest.raises((TypeError, ValueError)):
        engine.run(split, torch.arange(len(split)), batch_size)

    assert torch.equal(parameters_of(engine), before)
