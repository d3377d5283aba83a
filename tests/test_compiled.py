import logging
import subprocess
import sys

import pytest
import torch

from mnist_mlp import training
from mnist_mlp.engines import compiled
from mnist_mlp.model import MLP
from tests.strategies import generator, new_engine, new_split, relative_error

WITHOUT_COMPILER = """
import torch
from mnist_mlp.engines.compiled import Compiled
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.model import MLP

engine = Compiled(MLP(seed=0), learning_rate=0.1)
before = torch.cat([parameter.detach().flatten() for parameter in engine.parameters])
try:
    engine.step(torch.zeros(20, 784), torch.zeros(20, dtype=torch.int64))
except UnavailableError as error:
    print(error)
after = torch.cat([parameter.detach().flatten() for parameter in engine.parameters])
assert torch.equal(before, after)
"""


@pytest.mark.parametrize("batch_size", [1, 2, 96, 2048], ids="batch_size={}".format)
def test_an_epoch_gives_the_parameters_of_the_eager_engine(mnist, batch_size):
    """Within 1e-4 of their norm, on real images."""
    eager, ours = new_engine("eager"), new_engine("compiled")
    split = mnist.train.head(min(len(mnist.train), 1_001 + 2 * batch_size))

    losses = [
        training.epoch(engine, split, batch_size, generator=generator()) for engine in (eager, ours)
    ]

    assert relative_error(ours, eager) < 1e-4
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_one_graph_serves_every_batch_size_from_2_up():
    """Also for another network, and for one that was resumed in place."""
    split = new_split(90, seed=2)
    engine, other = new_engine("compiled"), new_engine("eager", seed=5)
    engine.prepare(64, split)

    with torch.compiler.set_stance("fail_on_recompile"):
        engine.network.load_state_dict(MLP(seed=5).state_dict())
        for each in (engine, other):
            each.run(split, torch.arange(90), 40)
            each.run(split, torch.arange(90), 17)

    assert relative_error(engine, other) < 1e-5


def test_compiling_leaves_logging_as_it_was():
    """A filter of torch's log is there for as long as it compiles."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    before = logger.filters[:], logger.level
    compiled.graph.cache_clear()

    new_engine("compiled").prepare(64, new_split(10, seed=0))

    assert (logger.filters, logger.level) == before


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
