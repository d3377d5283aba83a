import torch
from hypothesis import given
from torch import nn

from mnist_mlp.model import MLP, PARAMETERS
from mnist_mlp.task import seeded
from tests.strategies import seeds


@given(seed=seeds)
def test_a_network_starts_as_torch_would_start_it(seed):
    """A network's parameters are those of torch's own layers after torch.manual_seed."""
    ours = seeded(MLP, seed=seed)

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        theirs = nn.Sequential(nn.Linear(784, 256), nn.Sigmoid(), nn.Linear(256, 10))

    for our, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(our, their)
    assert sum(each.numel() for each in ours.parameters()) == PARAMETERS
