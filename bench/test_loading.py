"""How long the question's DataLoader takes to fetch batches, without any training."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.suite.workbench import Workbench, may_fork
from mnist_mlp.batches import shuffled
from mnist_mlp.data import Split
from mnist_mlp.engines.loader import Loader


def fetch(subject: Loader, split: Split, order: torch.Tensor) -> int:
    """Fetch all batches, as an epoch does, and return their number of samples."""
    return sum(len(labels) for _, labels in subject.batches(split, order, cases.AXIS_BATCH_SIZE))


@may_fork
# torch warns of more workers than cores, and this case measures their cost.
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("workers", cases.WORKERS, ids="workers={}".format)
def test_loading(benchmark: BenchmarkFixture, workbench: Workbench, workers: int) -> None:
    """One pass of the DataLoader over part of the training set, in so many worker processes."""
    split = workbench.task.train.head(cases.FED_SAMPLES)
    order = shuffled(len(split), generator=torch.Generator().manual_seed(0))
    subject = workbench.fed_loader(workers=workers)

    samples = benchmark.pedantic(fetch, args=(subject, split, order), rounds=1)

    assert samples == len(split)
    workbench.record(
        benchmark,
        subject,
        batch_size=cases.AXIS_BATCH_SIZE,
        samples=len(split),
        workers=workers,
    )
