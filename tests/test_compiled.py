import logging
import subprocess
import sys

import pytest
import torch

from mnist_mlp import engines, training
from mnist_mlp.engines.compiled import graphs, products
from mnist_mlp.evaluation import evaluate
from mnist_mlp.model import MLP
from tests.strategies import generator, new_data, new_engine, new_split, parameters_of

WITHOUT_COMPILER = """
import torch
from mnist_mlp.engines.compiled.compiled import Compiled
from mnist_mlp.engines.engine import CompilerError
from mnist_mlp.model import MLP

engine = Compiled(MLP(seed=0), learning_rate=0.1)
before = torch.cat([parameter.detach().flatten() for parameter in engine.parameters])
try:
    engine.step(torch.zeros(20, 784), torch.zeros(20, dtype=torch.int64))
except CompilerError as error:
    print(error)
after = torch.cat([parameter.detach().flatten() for parameter in engine.parameters])
assert torch.equal(before, after)
"""


def relative_error(ours, theirs):
    """The largest over parameters of |ours - theirs| / |theirs|."""
    return max(
        float((a - b).detach().norm() / b.detach().norm())
        for a, b in zip(ours.parameters, theirs.parameters, strict=True)
    )


@pytest.mark.parametrize(
    "batch_size", [1, 4, 16, 96, 1023, 1024, 1025, 4097], ids="batch_size={}".format
)
def test_an_epoch_gives_the_parameters_of_the_eager_engine(mnist, batch_size):
    """Within 1e-4 of their norm, on real images, at sizes of every form and on each edge."""
    eager, compiled = new_engine("eager"), new_engine("compiled")
    split = mnist.train.head(min(len(mnist.train), 2_000 + 3 * batch_size))

    losses = [
        training.epoch(engine, split, batch_size, generator=generator())
        for engine in (eager, compiled)
    ]

    assert relative_error(compiled, eager) < 1e-4
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 16, 17, 300, 1025, 2049], ids="samples={}".format)
def test_a_step_equals_that_of_the_eager_engine(samples):
    """At any number of samples."""
    eager, compiled = new_engine("eager"), new_engine("compiled")
    split = new_split(samples, seed=3)

    losses = [float(engine.step(split.images, split.labels)) for engine in (eager, compiled)]

    assert relative_error(compiled, eager) < 1e-5
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("product", products.available())
def test_every_product_is_the_product(product):
    """Whichever is the fastest on this machine."""
    a, b = torch.randn(33, 70, generator=generator(1)), torch.randn(21, 70, generator=generator(2))

    torch.testing.assert_close(product(a, b), (a.double() @ b.double().t()).float())


def test_bfloat16_learns_as_much_as_float32(mnist):
    """After the same steps its test accuracy lies within what another seed changes."""
    accuracies = {}
    for precision in ("float32", "bfloat16"):
        for seed in range(4):
            engine = engines.load("compiled")(
                MLP(seed=seed), learning_rate=0.5, precision=precision
            )
            training.epoch(engine, mnist.train, 64, generator=generator(seed))
            accuracies[precision, seed] = evaluate(engine.network, mnist.test).accuracy

    float32, bfloat16 = (
        torch.tensor([accuracies[precision, seed] for seed in range(4)])
        for precision in ("float32", "bfloat16")
    )
    assert float32.min() > 0.9
    assert (bfloat16 - float32).abs().max() < 0.005
    assert (bfloat16.mean() - float32.mean()).abs() < float32.max() - float32.min()


def test_bfloat16_rounds_the_factors_and_nothing_else():
    """A step differs from float32's by about a part in a hundred of it; parameters stay float32."""
    split = new_split(64, seed=1)
    start = parameters_of(new_engine("compiled"))
    moves = {}
    for precision in ("float32", "bfloat16"):
        engine = engines.load("compiled")(MLP(seed=0), learning_rate=0.1, precision=precision)
        engine.step(split.images, split.labels)
        moves[precision] = parameters_of(engine) - start
        assert {parameter.dtype for parameter in engine.parameters} == {torch.float32}

    error = (moves["bfloat16"] - moves["float32"]).norm() / moves["float32"].norm()
    assert 1e-5 < error < 2e-2


@pytest.mark.parametrize("name", ["loader", "eager"])
def test_engines_without_bfloat16_say_so(name):
    """Before anything is trained."""
    with pytest.raises(ValueError, match=f"the {name} engine has no bfloat16, only float32"):
        engines.load(name)(MLP(seed=0), learning_rate=0.1, precision="bfloat16")


def test_compiling_leaves_logging_as_it_was():
    """A filter of torch's log is there for as long as it compiles."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    before = logger.filters[:], logger.level
    graphs.many.cache_clear()

    new_engine("compiled").prepare(64)

    assert (logger.filters, logger.level) == before


def test_graphs_are_compiled_once_a_process():
    """For every engine of the process, at every larger size, and for a network resumed in place."""
    new_engine("compiled").prepare(64)
    known = graphs.many.cache_info().currsize
    engine = new_engine("compiled")

    for batch_size in (17, 100, 1000):
        assert engine.prepare(batch_size) < 1
    engine.network.load_state_dict(MLP(seed=5).state_dict())
    other = new_engine("eager", seed=5)
    for each in (engine, other):
        each.run(new_split(90, seed=2), torch.arange(90), 40)

    assert graphs.many.cache_info().currsize == known
    assert relative_error(engine, other) < 1e-5


def test_without_a_compiler_a_sentence_says_so_and_nothing_is_trained(tmp_path):
    """Wherever the first step is taken."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER],
        env={
            "PATH": str(tmp_path),
            "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the compiled engine has no working compiler here")
    assert "install g++ or clang++, or use another engine" in done.stdout


def test_the_thread_count_may_change_between_runs():
    """Graphs are compiled for a number of threads; a changed number gives the same parameters."""
    threads = torch.get_num_threads()
    each = new_engine("compiled"), new_engine("compiled")
    split = new_data(train=200, test=1).train

    try:
        for engine, count in zip(each, (1, threads), strict=True):
            torch.set_num_threads(count)
            engine.run(split, torch.arange(200), 64)
    finally:
        torch.set_num_threads(threads)

    assert relative_error(*each) < 1e-5


def test_a_wrong_batch_size_is_refused_before_compiling():
    """By prepare, as by run."""
    with pytest.raises(ValueError, match="too small"):
        new_engine("compiled").prepare(0)
