import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_mlp import device, engines, training
from mnist_mlp.engines import native as native_engine
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.engines.native import forms, native, products
from mnist_mlp.training import NotFiniteError
from tests.strategies import (
    FORMS,
    QUESTION,
    generator,
    new_engine,
    new_split,
    parameters_of,
    relative_error,
)

ROOT = Path(__file__).parent.parent
MANY_THREADS = [form for form in forms.available(8) if form.name == "loop" and form.threads > 2]
at_each_form = pytest.mark.parametrize("name", FORMS)

# Trains, forks, trains in the child, and compares the parameters of both.
FORK = """
import os, sys, torch
torch.set_num_threads(1)  # torch's own do not survive a fork
from tests.strategies import new_engine, new_split, parameters_of

split = new_split(100, seed=0)
for name in sys.argv[1:]:
    first = new_engine(name)
    first.run(split, torch.arange(100), 10)
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        second = new_engine(name)
        second.run(split, torch.arange(100), 10)
        same = torch.equal(parameters_of(first), parameters_of(second))
        os.write(sink, b"same" if same else b"other")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(source, 5) == b"same", name
"""


def with_zeros(samples, *, seed):
    """Random images, each with another share of zeros, from none to all."""
    split = new_split(samples, seed=seed)
    shares = torch.linspace(0, 1, samples)[:, None]
    keep = torch.rand(split.inputs.shape, generator=generator(seed)) >= shares
    return replace(split, inputs=split.inputs * keep)


@at_each_form
@pytest.mark.parametrize(
    "batch_size", [1, 7, 64, 1023, 1024, 1025, 4097], ids="batch_size={}".format
)
def test_an_epoch_gives_the_parameters_of_the_eager_engine(mnist, name, batch_size):
    """On real images, at each edge of a block, parameters differ by at most 1e-4 of their norm."""
    eager, ours = new_engine("eager"), new_engine(name)
    split = mnist.train.head(min(len(mnist.train), 1_000 + 2 * batch_size))

    losses = [
        training.epoch(engine, split, batch_size, generator=generator()) for engine in (eager, ours)
    ]

    assert relative_error(ours, eager) < 1e-4
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@at_each_form
@pytest.mark.parametrize("samples", [1, 2, 3, 5, 300, 2049], ids="samples={}".format)
def test_a_step_equals_that_of_the_eager_engine_and_a_form_predicts_as_the_network(name, samples):
    """Steps and predictions are right at any number of samples and any share of zeros."""
    eager, ours = new_engine("eager"), new_engine(name)
    split = with_zeros(samples, seed=3)

    losses = [float(engine.step(split.inputs, split.targets)) for engine in (eager, ours)]
    with torch.no_grad():
        logits = ours.network(split.inputs)

    assert relative_error(ours, eager) < 1e-5
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    torch.testing.assert_close(ours.outputs(split.inputs), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", [*FORMS.values(), *MANY_THREADS], ids=str)
def test_a_run_equals_that_of_the_eager_engine(form):
    """A run is right with more threads than cores, an order that is a view, and one class."""
    split = with_zeros(600, seed=1)
    split = replace(split, targets=torch.full((600,), 9))
    eager, ours = new_engine("eager"), engines.new("native", QUESTION, form=form)

    for engine in (eager, ours):
        engine.run(split, torch.arange(600)[::2], 7)

    assert relative_error(ours, eager) < 1e-5


@at_each_form
def test_a_large_batch_is_added_up_before_it_moves_a_parameter(mnist, name):
    """The small share of a sample in a large batch is not rounded away."""
    exact = new_engine("eager")
    exact.network.double()
    ours, split = new_engine(name), mnist.train.head(20_000)

    exact.step(split.inputs.double(), split.targets)
    ours.step(split.inputs, split.targets)

    assert relative_error(ours, exact) < 2e-6


@at_each_form
def test_a_training_that_diverges_is_noticed(name):
    """A number that is not finite reaches the loss, which is checked."""
    engine = new_engine(name, learning_rate=1e30)

    with pytest.raises(NotFiniteError, match="is not finite at learning rate 1e"):
        training.epoch(engine, new_split(60, seed=2), 7, generator=generator())


def test_the_choice_is_kept_for_the_process_and_leaves_the_network_as_it_was():
    """A training and its repetition take the same form. The trial trains a copy."""
    split = new_split(200, seed=0)
    native.CHOSEN.clear()
    engine = new_engine("native")
    before = parameters_of(engine)

    engine.prepare(32, split)
    chosen = dict(native.CHOSEN)
    engine.prepare(32, split)
    new_engine("native", seed=1).prepare(32, split)

    assert torch.equal(parameters_of(engine), before)
    assert chosen == native.CHOSEN
    assert len(chosen) == 2  # a form for many steps, and a form for a single step
    engine.run(split, torch.arange(200), 32)
    kept = {form for asked, form in native.CHOSEN.items() if not asked.is_single_step}
    assert [(engine.form, engine.form_threads)] == [(form.name, form.threads) for form in kept]


def test_the_simpler_form_wins_a_tie(monkeypatch):
    """Noise does not decide between forms; a clearly faster form wins at any place."""
    simple, other, fast = "simple", "other", "fast"  # names are enough, since the times are given
    seconds = {simple: 0.005, other: 0.00499, fast: 0.002}
    turns = []
    monkeypatch.setattr(forms.time, "perf_counter", lambda: sum(turns))

    def turn(form):
        turns.append(seconds[form])

    assert forms.fastest([simple, other], turn) is simple
    assert forms.fastest([simple, other, fast], turn) is fast


@pytest.mark.parametrize("product", products.available(), ids=lambda each: each.name)
def test_every_product_is_the_product(product):
    """Each product that a machine may choose as its fastest is right."""
    shapes = (21,), (33, 70), (70, 21), (33, 21)
    bias, images, weight, descents = (
        torch.randn(shape, generator=generator(1)) for shape in shapes
    )
    expected = weight.double() - images.double().t() @ descents.double()

    sums = product.sums(bias, images, weight)
    product.descend(weight, images, descents)

    torch.testing.assert_close(weight, expected.float())
    before = expected + images.double().t() @ descents.double()
    torch.testing.assert_close(sums, (bias.double() + images.double() @ before).float())


def test_a_fork_after_training_trains_on():
    """With one torch thread, no thread outlives a call, so a fork is safe."""
    names = [name for name in FORMS if "loop" in name or "1 thread" in name]

    done = subprocess.run(
        [sys.executable, "-c", FORK, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr


def test_without_numba_a_sentence_says_so(monkeypatch):
    """Without Numba, an engine cannot be made, and the error says why."""
    monkeypatch.setitem(sys.modules, "mnist_mlp.engines.native.loop", None)
    monkeypatch.delattr(native_engine, "loop")
    forms.available.cache_clear()

    with pytest.raises(UnavailableError, match="the native engine needs Numba, which does not wo"):
        new_engine("native")
    forms.available.cache_clear()


def test_what_a_full_disk_cannot_keep_is_compiled_and_called_all_the_same(
    tmp_path, monkeypatch, file_size_limit
):
    """Numba's OSError for a cache that cannot be written does not reach the caller."""
    loop = pytest.importorskip("mnist_mlp.engines.native.loop", exc_type=ImportError)
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))

    @loop.compiled
    def twice(number):
        return number + number

    with file_size_limit(0):
        assert twice(3) == 6

    assert list(tmp_path.rglob("*.nb?")) == []


def test_the_thread_count_may_change_between_runs():
    """Any number of threads gives the same parameters, and a run leaves torch's as it was."""
    each = new_engine("native"), new_engine("native")
    split = new_split(200, seed=1)

    for engine, count in zip(each, (1, torch.get_num_threads()), strict=True):
        with device.threads(count):
            engine.run(split, torch.arange(200), 64)
            assert torch.get_num_threads() == count

    assert relative_error(*each) < 1e-5


@pytest.mark.parametrize("name", [name for name in FORMS if "loop" in name])
def test_the_processor_keeps_tiny_numbers_after_a_call_as_before(name):
    """During a call, numbers below 1e-38 count as 0, since each takes a hundred times as long."""
    engine, split = new_engine(name), new_split(40, seed=1)
    with torch.no_grad():
        engine.parameters[1].fill_(-86)  # hidden units of about 5e-38

    engine.run(split, torch.arange(40), 7)
    engine.outputs(split.inputs)

    assert torch.tensor(1e-38) * 0.1 > 0
    assert torch.isfinite(parameters_of(engine)).all()


@pytest.mark.parametrize("can_compress", [False, True], ids="can_compress={}".format)
def test_lit_pixels_are_listed_in_order(monkeypatch, can_compress):
    """The list of lit pixels is right on any processor; NaN is lit, and minus 0 is not."""
    tiles = pytest.importorskip("mnist_mlp.engines.native.tiles", exc_type=ImportError)
    if can_compress and not tiles.CAN_COMPRESS:
        pytest.skip("this processor cannot compress a vector")
    monkeypatch.setattr(tiles, "CAN_COMPRESS", can_compress)
    image = new_split(1, seed=2).inputs[0] * (torch.rand(784, generator=generator()) < 0.2)
    image[:3] = torch.tensor([float("nan"), -0.0, 1e-40])
    pixels, shades = np.empty(784, np.int16), np.empty(784, np.float32)

    @pytest.importorskip("numba").njit
    def listed(image, pixels, shades):
        return tiles.list_lit(image.ctypes.data, pixels.ctypes.data, shades.ctypes.data)

    count = listed(image.numpy(), pixels, shades)

    expected = np.flatnonzero(image.numpy())
    np.testing.assert_array_equal(pixels[:count], expected)
    np.testing.assert_array_equal(shades[:count], image.numpy()[expected])


def test_a_trial_goes_on_until_two_rounds_agree(monkeypatch):
    """A form that is disturbed for a round is not dropped for it."""
    turns = []
    monkeypatch.setattr(forms.time, "perf_counter", lambda: sum(turns))

    def turn(form):
        is_disturbed = len(turns) < 2 * forms.TURNS_IN_A_ROW
        turns.append(0.005 if form == "one thread" else 0.006 if is_disturbed else 0.003)

    assert forms.fastest(["one thread", "two threads"], turn) == "two threads"
