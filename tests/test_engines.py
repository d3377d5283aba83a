import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mnist_mlp import engines, training
from mnist_mlp.batches import shuffled
from tests import closed_form
from tests.strategies import (
    ENGINES,
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


@pytest.mark.parametrize("module", ["mnist_mlp.engines", "mnist_mlp.arguments", "bench.__main__"])
def test_a_command_line_is_parsed_without_torch(module):
    """Importing torch takes seconds."""
    program = f"import sys, {module}; sys.exit('torch' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", sorted(engines.ENGINES))
def test_an_engine_describes_itself(name):
    """It has the name it is registered under."""
    assert engines.load(name).name == name


def test_a_name_that_is_not_registered_is_refused():
    """The sentence lists the engines there are."""
    with pytest.raises(ValueError, match="'warp' is no engine: choose from loader, eager"):
        engines.load("warp")


class Spy:
    """Records the batches that an engine's steps are given."""

    def __init__(self, engine):
        self.batches = []
        self._step = engine.step
        engine.step = self

    def __call__(self, images, labels):
        self.batches.append((images.clone(), labels.clone()))
        return self._step(images, labels)


@given(
    name=st.sampled_from(["loader", "eager"]), split=splits(), batch_size=batch_sizes, seed=seeds
)
def test_an_epoch_trains_on_every_sample_once(name, split, batch_size, seed):
    """No engine that goes step by step loses or repeats one; all but the last batch are full."""
    engine = new_engine(name)
    spy = Spy(engine)

    training.epoch(engine, split, batch_size, generator=generator(seed))

    order = shuffled(len(split), generator=generator(seed))
    assert torch.equal(torch.cat([images for images, _ in spy.batches]), split.images[order])
    assert torch.equal(torch.cat([labels for _, labels in spy.batches]), split.labels[order])
    assert len(spy.batches) == -(-len(split) // batch_size)
    assert all(len(labels) == batch_size for _, labels in spy.batches[:-1])


@given(name=engine_names, split=splits(), batch_size=batch_sizes, seed=seeds)
def test_an_epoch_equals_the_one_worked_out_by_hand(name, split, batch_size, seed):
    """Parameters and mean loss match the closed form in float64, short last batch included."""
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


@given(split=splits(), batch_size=batch_sizes)
def test_gradients_of_micro_batches_add_up_to_the_full_batchs(split, batch_size):
    """Weighted by their samples, micro-batch updates sum to the full batch's update."""
    start = parameters_of(new_engine("eager"))
    full = new_engine("eager")
    full.step(split.images, split.labels)

    total = torch.zeros_like(start)
    for images, labels in zip(
        split.images.split(batch_size), split.labels.split(batch_size), strict=True
    ):
        micro = new_engine("eager")
        micro.step(images, labels)
        total += (parameters_of(micro) - start) * len(labels) / len(split)

    torch.testing.assert_close(total, parameters_of(full) - start, rtol=1e-3, atol=1e-6)


@given(split=splits(), batch_size=batch_sizes, seed=seeds)
def test_the_engines_agree(split, batch_size, seed):
    """From the same seed all engines reach the same loss and parameters, within rounding."""
    eager, *others = [
        new_engine(name, seed=seed) for name in ("eager", *ENGINES) if name != "native"
    ]

    loss, *other_losses = [
        training.epoch(engine, split, batch_size, generator=generator(seed))
        for engine in (eager, *others)
    ]

    assert other_losses == pytest.approx([loss] * len(others), rel=1e-4)
    for engine in others:
        torch.testing.assert_close(
            parameters_of(engine), parameters_of(eager), rtol=1e-3, atol=1e-5
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
    """Whether it reaches the epoch or the engine itself."""
    engine = new_engine(name)
    before = parameters_of(engine)

    with pytest.raises((TypeError, ValueError)):
        training.epoch(engine, split, batch_size, generator=generator())
    with pytest.raises((TypeError, ValueError)):
        engine.run(split, torch.arange(len(split)), batch_size)

    assert torch.equal(parameters_of(engine), before)
