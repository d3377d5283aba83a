import torch
from hypothesis import given
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mnist_mlp.model import FLOPS_PER_SAMPLE, MLP, PARAMETERS
from tests.strategies import seeds


@given(seed=seeds)
def test_a_network_starts_as_torch_would_start_it(seed):
    """Its parameters are those of torch's own layers after torch.manual_seed."""
    state = torch.get_rng_state()
    ours = MLP(seed=seed)
    assert torch.equal(torch.get_rng_state(), state), "the global random state is left as it was"

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        theirs = nn.Sequential(nn.Linear(784, 256), nn.Sigmoid(), nn.Linear(256, 10))

    for our, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(our, their)


def test_parameters_and_flops_are_counted():
    """The constants equal what torch counts in one training step."""
    network = MLP(seed=0)
    images, labels = torch.rand(3, 784), torch.zeros(3, dtype=torch.int64)

    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(network(images), labels).backward()

    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS
    assert counter.get_total_flops() == 3 * FLOPS_PER_SAMPLE
