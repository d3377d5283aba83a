import pytest
import torch

from mnist_mlp import device
from mnist_mlp.device import GpuPeak


def test_every_device_here_holds_tensors():
    """The CPU comes first, GPUs after it."""
    here = device.available()

    assert here[0] == "cpu"
    assert [device.is_gpu(name) for name in here] == [False, *[True] * (len(here) - 1)]
    for name in here:
        assert torch.ones(1, device=name).sum() == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_there_is_nothing_to_wait_for_or_to_name():
    """And a block has no peak of a GPU's memory."""
    device.use("cpu")
    device.wait()
    with GpuPeak() as peak:
        torch.ones(1)

    assert device.gpu_name() is None
    assert peak.bytes is None
