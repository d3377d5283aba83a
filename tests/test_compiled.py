import os
import subprocess
import sys

import pytest
import torch

from mnist_mlp import training
from tests.strategies import QUESTION, generator, new_engine, new_split, relative_error

WITHOUT_COMPILER = """
import sys
from pathlib import Path
import torch
from mnist_mlp import datasets, engines, trainer
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.engines.native import forms

task = datasets.load(cache_dir=Path(sys.argv[1]))
split = task.train
engines.new("eager", task).run(split, torch.arange(8), 4)
engines.new("native", task, form=forms.simplest()).run(split, torch.arange(8), 4)
assert "torchvision" not in sys.modules  # importing it takes as long as torch
engine = engines.new("compiled", task)
try:
    engine.step(split.inputs[:20], split.targets[:20])
except UnavailableError as error:
    print(error)
untrained = task.new_network(0).parameters()
assert all(map(torch.equal, engine.parameters, untrained))
"""


@pytest.mark.parametrize("batch_size", [1, 2, 96, 2048], ids="batch_size={}".format)
def test_an_epoch_gives_the_parameters_of_the_eager_engine(mnist, batch_size):
    """After an epoch on real images, parameters differ by at most 1e-4 of their norm."""
    eager, ours = new_engine("eager"), new_engine("compiled")
    split = mnist.train.head(min(len(mnist.train), 1_001 + 2 * batch_size))

    losses = [
        training.epoch(engine, split, batch_size, generator=generator()) for engine in (eager, ours)
    ]

    assert relative_error(ours, eager) < 1e-4
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_one_graph_serves_every_batch_size_from_2_up():
    """Other batch sizes, and parameters loaded in place, compile nothing again."""
    split = new_split(90, seed=2)
    engine, eager = new_engine("compiled"), new_engine("eager", seed=5)
    engine.prepare(64, split)

    with torch.compiler.set_stance("fail_on_recompile"):
        engine.network.load_state_dict(QUESTION.new_network(5).state_dict())
        for each in (engine, eager):
            each.run(split, torch.arange(90), 40)
            each.run(split, torch.arange(90), 17)

    assert relative_error(engine, eager) < 1e-5


def test_without_a_compiler_a_sentence_says_so_and_nothing_is_trained(tmp_path, cache_dir):
    """The first step raises the error. Engines on resident tensors import no torchvision."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER, str(cache_dir)],
        env={
            "PATH": str(tmp_path),
            "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
            "HOME": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the compiled engine cannot compile this here (")
    assert "install g++ or clang++ if there is no compiler, or use another engine" in done.stdout
