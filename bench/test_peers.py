"""Our engine and other libraries in turns: the same network, samples and steps."""

import dataclasses
import importlib.util
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.measure.peers import MODULES, PEERS
from bench.suite import turns
from bench.suite.selection import each
from bench.suite.workbench import Workbench
from mnist_mlp.batches import clamped, shuffled
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.model import MLP
from mnist_mlp.task import seeded
from mnist_mlp.training import epoch, step

OURS = cases.CONVERGENCE_ENGINES[0]
LIKE_OURS = 0.1  # relative tolerance of the first epoch's loss: some peers shuffle by themselves
DARKEST = 1 / 255  # added to each pixel, so that none is 0

needs_all_peers = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, MODULES.values())),
    reason="needs the peers: python -m tox run -e peers",
)


@needs_all_peers
@each("batch_size", "batch sizes")
def test_peers(benchmark: BenchmarkFixture, workbench: Workbench, batch_size: int) -> None:
    """Our fastest engine's pass over the samples, in turns with every peer's."""
    split = workbench.task.train.head(cases.peer_samples(batch_size))
    _compare(benchmark, workbench, split, batch_size, ["loader", *PEERS])


@needs_all_peers
@each("batch_size", "batch sizes")
def test_peers_without_zeros(
    benchmark: BenchmarkFixture, workbench: Workbench, batch_size: int
) -> None:
    """Our pass over images without zeros, none of which it can skip, in turns with JAX's."""
    split = workbench.task.train.head(cases.peer_samples(batch_size))
    split = dataclasses.replace(split, inputs=split.inputs + DARKEST)
    _compare(benchmark, workbench, split, batch_size, ["JAX"])


def _compare(
    benchmark: BenchmarkFixture,
    workbench: Workbench,
    split: Split,
    batch_size: int,
    names: list[str],
) -> None:
    if workbench.options.task:
        pytest.skip("the peers train the question's network: leave out --task")
    size = clamped(batch_size, len(split))
    ours = workbench.new_engine(OURS)
    compile_seconds = ours.prepare(size, split)
    passes = {name: _pass_of(name, workbench, split, size) for name in names}
    our_pass = _pass_of_engine(ours, split, size)
    first_loss = our_pass()
    for name, one_pass in passes.items():
        assert one_pass() == pytest.approx(first_loss, rel=LIKE_OURS), name

    times = turns.take(benchmark, our_pass, passes, rounds=cases.PEER_ROUNDS, tell=workbench.tell)

    workbench.record(
        benchmark,
        ours,
        batch_size=batch_size,
        samples=len(split),
        compile_seconds=compile_seconds,
        **times,
    )


def _pass_of(name: str, workbench: Workbench, split: Split, batch_size: int) -> Callable[[], float]:
    if name == "loader":
        return _pass_of_engine(workbench.new_engine(name), split, batch_size)
    peer_epoch = PEERS[name](seeded(MLP, seed=0), split, batch_size, workbench.options.lr)
    generator = torch.Generator().manual_seed(0)
    return lambda: peer_epoch(shuffled(len(split), generator=generator))


def _pass_of_engine(engine: Engine, split: Split, batch_size: int) -> Callable[[], float]:
    generator = torch.Generator().manual_seed(0)
    return lambda: epoch(engine, split, batch_size, generator=generator)


@needs_all_peers  # it uses no peers, but takes too long for --full
@each("batch_size", "batch sizes")
def test_by_hand(benchmark: BenchmarkFixture, workbench: Workbench, batch_size: int) -> None:
    """The eager engine's steps, in turns with as many plain autograd and torch.optim.SGD steps.

    Such a step is what the loader engine does, once its batch is loaded.
    """
    batch = workbench.task.train.head(batch_size)
    by_hand, ours = workbench.new_engine("loader"), workbench.new_engine("eager")
    count = max(1, cases.BY_HAND_SAMPLES // (cases.BY_HAND_OVERHEAD_SAMPLES + len(batch)))

    times = turns.take(
        benchmark,
        lambda: steps(ours, batch, count),
        {"plain torch": lambda: steps(by_hand, batch, count)},
        rounds=cases.BY_HAND_TURNS,
        tell=workbench.tell,
    )

    workbench.record(benchmark, ours, batch_size=batch_size, samples=len(batch) * count, **times)


def steps(engine: Engine, batch: Split, count: int) -> None:
    """Take so many steps on the same batch."""
    for _ in range(count):
        step(engine, batch.inputs, batch.targets)
