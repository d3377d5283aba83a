import pytest
import torch

from bench.measure.memory import peak_memory
from mnist_mlp import engines, training
from mnist_mlp.clock import Stopwatch
from mnist_mlp.datasets import question
from mnist_mlp.engines.engine import UnavailableError
from tests.strategies import generator, new_engine, new_split, parameters_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.mark.parametrize("name", sorted(engines.ENGINES.keys() - {"native"}))
def test_a_gpu_trains_to_the_same_parameters(name):
    """An epoch on the GPU gives the CPU's parameters, up to rounding."""
    split, same = new_split(40, seed=1), new_split(40, seed=1, device="cuda")
    on_cpu, on_gpu = new_engine(name), new_engine(name, question("random", same, same))

    training.epoch(on_cpu, split, 7, generator=generator())
    training.epoch(on_gpu, same, 7, generator=generator())

    torch.testing.assert_close(
        parameters_of(on_gpu).cpu(), parameters_of(on_cpu), rtol=1e-3, atol=1e-5
    )


def test_the_native_engine_says_that_it_is_for_cpus():
    """A native engine for tensors on a GPU cannot be made."""
    with pytest.raises(UnavailableError, match="the native engine is for CPUs"):
        new_engine("native", question("random", *[new_split(1, seed=1, device="cuda")] * 2))


def test_the_stopwatch_waits_for_the_gpu():
    """Work that was queued before a reading has ended when the clock is read."""
    matrix = torch.rand(4096, 4096, device="cuda")
    done = torch.cuda.Event()
    for _ in range(20):
        matrix = matrix @ matrix
    done.record()

    Stopwatch()()

    assert done.query()


def test_the_gpus_own_peak_is_measured_too():
    """Memory allocated and freed during the call counts."""
    torch.cuda.init()

    peak = peak_memory(lambda: torch.ones(25_000_000, device="cuda"))

    assert peak.cuda_bytes == pytest.approx(100_000_000, rel=0.05)
