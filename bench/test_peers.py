"""Ours against other libraries, in turns: the same network, samples and steps."""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cases
from bench.instruments.peers import MODULES, PEERS
from bench.suite.parameters import at_each_batch_size
from bench.suite.workbench import Workbench
from mnist_mlp.batches import shuffled
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.model import MLP
from mnist_mlp.training import epoch, step

INSTALLED = [name for name in PEERS if importlib.util.find_spec(MODULES[name])]
LIKE_OURS = 0.1  # relative, of the mean loss of the first epoch: those that shuffle differ a little

needs_all_peers = pytest.mark.skipif(
    len(INSTALLED) < len(PEERS), reason="needs the peers: python -m tox run -e peers"
)


@needs_all_peers
@at_each_batch_size
def test_peers(benchmark: BenchmarkFixture, workbench: Workbench, batch_size: int) -> None:
    """The compiled engine's pass over the samples, each round after one of every peer."""
    split = workbench.data.train.head(batch_size * cases.PEER_STEPS)
    size = min(batch_size, len(split))
    compile_seconds = workbench.compile_seconds("compiled", size)
    ours = workbench.new_engine("compiled")
    generator = torch.Generator().manual_seed(0)
    first_loss = epoch(ours, split, size, generator=generator)
    peers = {
        "loader": _pass_of_loader(workbench, split, size),
        **{name: _pass_of_peer(name, workbench, split, size) for name in INSTALLED},
    }
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for name, one_pass in peers.items():
        assert one_pass() == pytest.approx(first_loss, rel=LIKE_OURS), name

    def turn_of_each_peer() -> tuple[tuple[Any, ...], dict[str, Any]]:
        for name, one_pass in peers.items():
            workbench.tell(name)
            started = time.perf_counter()
            one_pass()
            seconds[name].append(time.perf_counter() - started)
        return (ours, split, size), {"generator": generator}

    benchmark.pedantic(epoch, setup=turn_of_each_peer, rounds=cases.PEER_ROUNDS)

    workbench.record(
        benchmark,
        ours,
        batch_size=batch_size,
        samples=len(split),
        compile_seconds=compile_seconds,
        peer_seconds=seconds,
    )


def _pass_of_loader(workbench: Workbench, split: Split, batch_size: int) -> Callable[[], float]:
    subject, generator = workbench.new_engine("loader"), torch.Generator().manual_seed(0)
    return lambda: epoch(subject, split, batch_size, generator=generator)


def _pass_of_peer(
    name: str, workbench: Workbench, split: Split, batch_size: int
) -> Callable[[], float]:
    peer = PEERS[name](
        MLP(seed=0), split, batch_size, learning_rate=workbench.options.learning_rate
    )
    generator = torch.Generator().manual_seed(0)
    return lambda: peer.epoch(shuffled(len(split), generator=generator))


@needs_all_peers  # not that it would use them: a default run has no minute to spare for it
@at_each_batch_size
def test_by_hand(benchmark: BenchmarkFixture, workbench: Workbench, batch_size: int) -> None:
    """The eager engine's steps, each round after as many of autograd and torch.optim.SGD by hand.

    That is what a step of the loader engine is, once its batch is loaded.
    """
    batch = workbench.data.train.head(batch_size)
    by_hand, ours = workbench.new_engine("loader"), workbench.new_engine("eager")
    count = max(1, cases.BY_HAND_SAMPLES // (cases.BY_HAND_OVERHEAD_SAMPLES + len(batch)))
    seconds: list[float] = []

    def turn_by_hand() -> tuple[tuple[Any, ...], dict[str, Any]]:
        started = time.perf_counter()
        steps(by_hand, batch, count)
        seconds.append(time.perf_counter() - started)
        return (ours, batch, count), {}

    benchmark.pedantic(steps, setup=turn_by_hand, rounds=cases.BY_HAND_TURNS, warmup_rounds=2)

    workbench.record(
        benchmark,
        ours,
        batch_size=batch_size,
        samples=len(batch) * count,
        peer_seconds={"by hand": seconds},
    )


def steps(engine: Engine, batch: Split, count: int) -> None:
    """So many steps on the same batch."""
    for _ in range(count):
        step(engine, batch.images, batch.labels)
