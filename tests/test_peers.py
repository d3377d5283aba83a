import importlib.util

import pytest
import torch

from bench.measure.peers import MODULES, PEERS
from mnist_mlp import training
from mnist_mlp.model import MLP
from mnist_mlp.task import seeded
from tests.strategies import generator, new_engine


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("batch_size", [50, 64], ids="batch_size={}".format)
def test_a_peer_learns_as_ours_does(name, batch_size, mnist):
    """A peer's losses are ours for the same network and samples, short last batch included."""
    if not importlib.util.find_spec(MODULES[name]):
        pytest.skip(f"{name} is not installed: it comes with the extra peers")
    split = mnist.train.head(3_000)
    peer_epoch = PEERS[name](seeded(MLP, seed=0), split, batch_size, 0.1)
    engine, ours, theirs = new_engine("eager"), [], []

    for seed in range(2):
        ours.append(training.epoch(engine, split, batch_size, generator=generator(seed)))
        theirs.append(peer_epoch(torch.randperm(len(split), generator=generator(seed))))

    assert theirs == pytest.approx(ours, rel=1e-4 if name == "JAX" else 0.02)
