import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mnist_mlp import device, training
from mnist_mlp.data import Split
from mnist_mlp.engines.native import forms, native, products
from mnist_mlp.engines.native.native import Native
from mnist_mlp.model import MLP
from mnist_mlp.training import NotFiniteError
from tests.strategies import (
    FORMS,
    generator,
    new_engine,
    new_split,
    parameters_of,
    relative_error,
)

SRC = Path(__file__).parent.parent / "src"
at_each_form = pytest.mark.parametrize("name", FORMS)
# More threads than cores, too: they give up their core when they wait.
MANY_THREADS = [form for form in forms.available(8) if form.name == "loop"]

# Trains on two threads, forks, trains in the child, and hears of its parameters.
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
FULL_DISK = """
import resource
import torch
from mnist_mlp.engines.native.loop import Loop
from mnist_mlp.engines.native.native import Native
from mnist_mlp.model import MLP

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
engine = Native(MLP(seed=0), learning_rate=0.1, form=Loop(threads=1))
engine.step(torch.ones(4, 784), torch.zeros(4, dtype=torch.int64))
"""
WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import torch
from mnist_mlp import engines
from mnist_mlp.model import MLP

engine = engines.load("native")(MLP(seed=0), learning_rate=0.1)
for _ in range(2):
    loss = engine.step(torch.rand(20, 784), torch.zeros(20, dtype=torch.int64))
print(engine.form, float(loss))
"""


def with_form(form, *, seed=0):
    """A fresh network that takes steps in this form."""
    return Native(MLP(seed=seed), learning_rate=0.1, form=form)


def with_zeros(samples, *, seed):
    """Random images of which each has its own share of zeros, from none to all."""
    split = new_split(samples, seed=seed)
    shares = torch.linspace(0, 1, samples)[:, None]
    keep = torch.rand(split.images.shape, generator=generator(seed)) >= shares
    return Split(images=split.images * keep, labels=split.labels, new_dataset=split.new_dataset)


@at_each_form
@pytest.mark.parametrize(
    "batch_size", [1, 7, 64, 1023, 1024, 1025, 4097], ids="batch_size={}".format
)
def test_an_epoch_gives_the_parameters_of_the_eager_engine(mnist, name, batch_size):
    """Within 1e-4 of their norm, on real images, on each edge of a block."""
    eager, ours = new_engine("eager"), new_engine(name)
    split = mnist.train.head(min(len(mnist.train), 1_000 + 2 * batch_size))

    losses = [
        training.epoch(engine, split, batch_size, generator=generator()) for engine in (eager, ours)
    ]

    assert relative_error(ours, eager) < 1e-4
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@at_each_form
@pytest.mark.parametrize("samples", [1, 2, 3, 5, 300, 2049], ids="samples={}".format)
def test_a_step_equals_that_of_the_eager_engine(name, samples):
    """At any number of samples, with any share of zeros."""
    eager, ours = new_engine("eager"), new_engine(name)
    split = with_zeros(samples, seed=3)

    losses = [float(engine.step(split.images, split.labels)) for engine in (eager, ours)]

    assert relative_error(ours, eager) < 1e-5
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("form", MANY_THREADS, ids=lambda form: f"threads={form.threads}")
def test_threads_share_the_loop(form):
    """On any number of threads the parameters are the same within rounding."""
    split = with_zeros(300, seed=1)
    eager, ours = new_engine("eager"), with_form(form)

    for engine in (eager, ours):
        engine.run(split, torch.arange(300), 7)

    assert relative_error(ours, eager) < 1e-5


@at_each_form
def test_a_form_predicts_what_the_network_does(name):
    """After a step, on its own threads, at any number of images."""
    split = with_zeros(101, seed=4)
    engine = new_engine(name)
    engine.step(split.images, split.labels)

    for samples in (1, 2, 101):
        with torch.no_grad():
            expected = engine.network(split.images[:samples])
        torch.testing.assert_close(
            engine.logits(split.images[:samples]), expected, rtol=1e-4, atol=1e-5
        )


@at_each_form
def test_labels_of_one_class_and_a_strided_order(name):
    """The order may be a view, and a class may be all there is."""
    split = new_split(40, seed=1)
    split = Split(images=split.images, labels=torch.full((40,), 9), new_dataset=split.new_dataset)
    eager, ours = new_engine("eager"), new_engine(name)

    for engine in (eager, ours):
        engine.run(split, torch.arange(40)[::3], 4)

    assert relative_error(ours, eager) < 1e-5


@at_each_form
def test_a_large_batch_is_added_up_before_it_moves_a_parameter(mnist, name):
    """So that a sample's small share is not rounded away: as exact as in one product."""
    exact = new_engine("eager")
    exact.network.double()
    ours, split = new_engine(name), mnist.train.head(20_000)

    exact.step(split.images.double(), split.labels)
    ours.step(split.images, split.labels)

    assert relative_error(ours, exact) < 2e-6


@at_each_form
def test_a_training_that_diverges_is_noticed(name):
    """What is not finite stays so until the loss."""
    engine = new_engine(name, learning_rate=1e30)

    with pytest.raises(NotFiniteError, match="is not finite at learning rate 1e"):
        training.epoch(engine, new_split(60, seed=2), 7, generator=generator())


def test_the_choice_is_kept_for_the_process():
    """So that a training and its repetition take the same form; other sizes have their own."""
    split = new_split(200, seed=0)
    native.CHOSEN.clear()
    engine = new_engine("native")

    first_seconds, again_seconds = (engine.prepare(32, split) for _ in range(2))
    other_seconds = new_engine("native", seed=1).prepare(32, split)

    assert max(again_seconds, other_seconds) < first_seconds
    assert len(native.CHOSEN) == 2  # for many steps, and for one
    engine.run(split, torch.arange(200), 32)
    kept = {form for asked, form in native.CHOSEN.items() if not asked.is_single_step}
    assert [(engine.form, engine.form_threads)] == [(form.name, form.threads) for form in kept]


def test_a_choice_leaves_the_network_as_it_was():
    """The trial trains a copy."""
    engine = new_engine("native")
    before = parameters_of(engine)
    native.CHOSEN.clear()

    engine.prepare(16, new_split(50, seed=0))

    assert torch.equal(parameters_of(engine), before)


def test_the_simpler_form_wins_a_tie(monkeypatch):
    """So that noise does not decide; a clearly faster one wins, wherever it stands."""
    simple, other, fast = "simple", "other", "fast"  # it needs no more of a form than its time
    seconds = {simple: 0.005, other: 0.00499, fast: 0.002}
    turns = []
    monkeypatch.setattr(forms.time, "perf_counter", lambda: sum(turns))

    def turn(form):
        turns.append(seconds[form])

    assert forms.fastest([simple, other], turn, turn) is simple
    assert forms.fastest([simple, other, fast], turn, turn) is fast


@pytest.mark.parametrize("product", products.available(), ids=lambda each: each.name)
def test_every_product_is_the_product(product):
    """Whichever is the fastest on this machine."""
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
    """Where torch has one thread: those of the loop live no longer than a call."""
    names = [name for name in FORMS if "loop" in name or "1 thread" in name]

    done = subprocess.run(
        [sys.executable, "-c", FORK, *names],
        cwd=SRC.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr


def test_without_numba_a_sentence_says_so_and_the_other_forms_train():
    """Once."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA],
        env=os.environ | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "products" in done.stdout
    assert done.stderr.count("the native engine goes without its loop") == 1


def test_a_full_disk_ends_no_training(tmp_path):
    """Numba cannot keep what it compiled; the loop trains all the same."""
    done = subprocess.run(
        # Without -B, Python 3.11 would keep bytecode that it wrote in part (python/cpython#126606).
        [sys.executable, "-B", "-c", FULL_DISK],
        env=os.environ | {"PYTHONPATH": str(SRC), "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*.nbc")) == []


def test_the_thread_count_may_change_between_runs():
    """And stays what it was set to."""
    each = new_engine("native"), new_engine("native")
    split = new_split(200, seed=1)

    for engine, count in zip(each, (1, torch.get_num_threads()), strict=True):
        with device.threads(count):
            engine.run(split, torch.arange(200), 64)
            assert torch.get_num_threads() == count

    assert relative_error(*each) < 1e-5


def test_a_wrong_batch_size_is_refused_before_a_trial():
    """By prepare, as by run."""
    with pytest.raises(ValueError, match="too small"):
        new_engine("native").prepare(0, new_split(3, seed=0))


def test_what_wide_loads_pass_over_begins_at_a_cache_line():
    """Else one process in four is an eighth slower, where a vector is as wide as a line."""
    loop = pytest.importorskip("mnist_mlp.engines.native.loop", exc_type=ImportError)

    arrays = [loop.from_a_line(rows, 128) for rows in range(1, 30)]

    assert {array.ctypes.data % 64 for array in arrays} == {0}
    assert [array.shape for array in arrays] == [(rows, 128) for rows in range(1, 30)]
