"""What fetching the batches costs the question's code path, with none of its arithmetic."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.suite.workbench import Workbench
from mnist_mlp.batches import shuffled
from mnist_mlp.data import Split
from mnist_mlp.engines.loader import Loader
from mnist_mlp.model import MLP

# Python warns of forks beside threads; DataLoader's workers compute nothing in theirs.
may_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def loader(workbench: Workbench, *, workers: int) -> Loader:
    """The question's engine, fed by so many processes beside this one."""
    network = MLP(seed=0).to(workbench.options.device)
    subject = Loader(network, learning_rate=workbench.options.learning_rate)
    subject.workers = workers
    return subject


def fetch(subject: Loader, split: Split, order: torch.Tensor) -> int:
    """Go through all batches, as an epoch does; how many samples they held."""
    return sum(len(labels) for _, labels in subject.batches(split, order, cases.AXIS_BATCH_SIZE))


@may_fork
@pytest.mark.parametrize("workers", cases.WORKERS, ids="workers={}".format)
def test_loading(benchmark: BenchmarkFixture, workbench: Workbench, workers: int) -> None:
    """One pass of the DataLoader over part of the training set, in so many worker processes."""
    split = workbench.data.train.head(cases.FED_SAMPLES)
    order = shuffled(len(split), generator=torch.Generator().manual_seed(0))
    subject = loader(workbench, workers=workers)

    samples = benchmark.pedantic(fetch, args=(subject, split, order), rounds=1)

    assert samples == len(split)
    workbench.record(
        benchmark,
        engine="loader",
        batch_size=cases.AXIS_BATCH_SIZE,
        samples=len(split),
        workers=workers,
    )
