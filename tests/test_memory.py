import mmap

import pytest
import torch

from bench.measure import memory
from bench.measure.memory import peak_memory
from mnist_mlp import training
from mnist_mlp.model import HIDDEN, PARAMETERS
from tests.strategies import generator, new_engine

MEGABYTE = 1_000_000
# Least share of the true peak: the kernel counts every page, a sampler may miss some.
LOWEST = {"kernel": 0.95, "sampled": 0.75}


@pytest.fixture(params=["kernel", "sampled"])
def method(request, monkeypatch):
    """Both ways of measuring; sampling is tested even where the kernel can measure."""
    if request.param == "sampled":
        monkeypatch.setattr(memory.memory, "peak_bytes", lambda _: None)
    elif memory.memory.peak_bytes(int) is None:
        pytest.skip("this kernel has no peak that can be reset")
    return request.param


def test_the_peak_of_a_known_allocation_is_found(method):
    """Memory freed before the call ends counts; memory held before it doesn't."""
    held = torch.ones(25_000_000)  # 100 MB

    def allocate():
        block = mmap.mmap(-1, 200 * MEGABYTE)
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        block.close()

    peak = peak_memory(allocate)

    assert LOWEST[method] * 200 < peak.resident_bytes / MEGABYTE < 1.05 * 200
    assert peak.method == {"kernel": "VmHWM", "sampled": "sampled"}[method]
    assert peak.cuda_bytes is None
    assert peak.rss_bytes > held.nbytes  # all resident memory of the process
    assert len(held) == 25_000_000


def test_memory_freed_before_the_call_is_not_taken_for_its_floor(method):
    """A second measurement finds as much memory as the first."""
    for _ in range(2):
        peak = peak_memory(lambda: torch.ones(25_000_000))
        assert LOWEST[method] * 100 < peak.resident_bytes / MEGABYTE < 1.05 * 100


@pytest.mark.usefixtures("method")
def test_a_call_that_raises_is_not_swallowed():
    """The measurement passes on what the call raises."""

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        peak_memory(fail)


def test_the_peak_of_a_full_batch_epoch_is_what_arithmetic_says(mnist):
    """An epoch at B = 60000 holds the gathered batch, activations, and all gradients."""
    engine = new_engine("eager")
    samples = len(mnist.train)
    gathered = samples * 784
    # In the backward pass: sigmoid's output, the gradients after it and before it.
    activations = 3 * samples * HIDDEN
    expected_bytes = 4 * (gathered + activations + PARAMETERS)

    peak = peak_memory(lambda: training.epoch(engine, mnist.train, samples, generator=generator()))

    assert peak.resident_bytes == pytest.approx(expected_bytes, rel=0.25)
