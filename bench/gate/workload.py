"""A case of the gate as a unit of work, short enough that two versions can take turns at it.

Images are random, with as many pixels that are 0 as MNIST's, which an engine may pass over; reading
MNIST would take longer than a whole duet.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from bench import cases
from bench.cases import Case
from mnist_mlp import engines
from mnist_mlp.data import CLASSES, PIXELS, Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.engines.native import forms
from mnist_mlp.engines.native.native import Native
from mnist_mlp.model import MLP
from mnist_mlp.training import epoch, step

POOL_SAMPLES = 4096  # at batch size 1, steps enough for a leak of 2 KiB each to show
LEARNING_STEPS = 32
SHORTEST_EPOCH_SAMPLES = 16
ZERO_PIXELS = 0.81  # share of MNIST's


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What a worker can be asked about one case."""

    unit: Callable[[], object]  # one step, or one pass over a few samples
    peak: Callable[[], object]  # the call whose peak memory is taken
    losses: Callable[[], Tensor]  # of the first steps from a fixed seed: (LEARNING_STEPS,)


def build(case: Case) -> Workload:
    """Set the case up: a fresh network, its data, its callables."""
    pool = _random_split(max(POOL_SAMPLES, case.batch_size))
    _new_engine(case).prepare(case.batch_size, pool)
    return (_step if case.verb == "step" else _epoch)(case, pool)


def prepare() -> None:
    """Load once what every fork would load, or compile: the loop of the native engine."""
    if Native.name in cases.GATE_ENGINES:
        build(Case(verb="step", engine=Native.name, batch_size=1)).unit()


def _step(case: Case, pool: Split) -> Workload:
    engine, batch = _new_engine(case), pool.head(case.batch_size)

    def losses() -> Tensor:
        subject = _new_engine(case)
        batches = (pool.images.index_select(0, rows) for rows in order)
        labels = (pool.labels.index_select(0, rows) for rows in order)
        return torch.stack([step(subject, *pair) for pair in zip(batches, labels, strict=True)])

    order = _random_order(case, pool).split(case.batch_size)
    return Workload(
        unit=lambda: step(engine, batch.images, batch.labels),
        peak=lambda: step(engine, batch.images, batch.labels),
        losses=losses,
    )


def _epoch(case: Case, pool: Split) -> Workload:
    # Two and a half batches: the short last one is part of an epoch.
    short = pool.head(max(SHORTEST_EPOCH_SAMPLES, case.batch_size * 5 // 2))
    engine, generator = _new_engine(case), torch.Generator().manual_seed(0)

    return Workload(
        unit=lambda: epoch(engine, short, case.batch_size, generator=generator),
        peak=lambda: epoch(engine, pool, case.batch_size, generator=generator),
        losses=lambda: _new_engine(case).run(pool, _random_order(case, pool), case.batch_size),
    )


def _new_engine(case: Case) -> Engine:
    network, rate, engine = MLP(seed=0), cases.LEARNING_RATE, engines.load(case.engine)
    if issubclass(engine, Native):  # two versions that each chose a form might choose two
        return engine(network, learning_rate=rate, form=forms.simplest())
    return engine(network, learning_rate=rate)


def _random_split(samples: int) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(samples, PIXELS, generator=generator)
    images = (images - ZERO_PIXELS).clamp_(min=0) / (1 - ZERO_PIXELS)
    labels = torch.randint(CLASSES, (samples,), generator=generator)
    return Split(
        images=images, labels=labels, dataset=TensorDataset(images.view(-1, 1, 28, 28), labels)
    )


def _random_order(case: Case, pool: Split) -> Tensor:
    """Samples of LEARNING_STEPS batches: (LEARNING_STEPS * batch size,)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(len(pool), (LEARNING_STEPS * case.batch_size,), generator=generator)
