"""The suite's command-line options; bad values are rejected with one sentence."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import cases, options
from mnist_mlp import engines


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure, and on what."""

    batch_sizes: tuple[int, ...]
    convergence_batch_sizes: tuple[int, ...]
    engines: tuple[str, ...]
    convergence_engines: tuple[str, ...]
    alignment_engines: tuple[str, ...]
    groups: tuple[str, ...]
    shared_engines: tuple[str, ...]
    worker_batch_sizes: tuple[int, ...]
    worker_epoch_batch_sizes: tuple[int, ...]
    native_form: str
    epoch_samples: int | None
    learning_rate: float
    lr_rules: tuple[str, ...]
    target_accuracy: float
    max_epochs: int
    seeds: tuple[int, ...]
    threads: int | None
    device: str
    data_root: Path | None
    cache_dir: Path | None
    force: bool

    @property
    def resident_engines(self) -> tuple[str, ...]:
        """The chosen engines that train on tensors in memory."""
        return resident(self.engines)

    @property
    def exchanging_groups(self) -> tuple[str, ...]:
        """The groups of several workers."""
        return tuple(group for group in self.groups if not group.startswith("1x"))


def of_workers(names: Iterable[str]) -> tuple[str, ...]:
    """Return the engines that are made for several workers."""
    return tuple(name for name in names if engines.load(name).is_shared)


def resident(names: Iterable[str]) -> tuple[str, ...]:
    """Return the engines that train on tensors in memory."""
    return tuple(name for name in names if engines.load(name).is_resident)


def of_one_process(names: Iterable[str]) -> tuple[str, ...]:
    """Return the engines that are not made for several workers."""
    return tuple(name for name in names if not engines.load(name).is_shared)


def groups(workers: Iterable[int]) -> tuple[str, ...]:
    """Return groups of so many workers, as "WORKERSxTHREADS": each on its part of the cores.

    One worker is also there on as few threads as each of the most workers has.
    """
    cores, chosen = os.cpu_count() or 1, sorted(set(workers))
    threads = {count: max(1, cores // count) for count in chosen}
    several = [f"{count}x{threads[count]}" for count in chosen]
    return tuple(dict.fromkeys([f"1x{threads[chosen[-1]]}", *several]))


def add_to(parser: pytest.Parser) -> None:
    """Add the suite's options to pytest's."""
    options.add(parser.getgroup("batch size suite").addoption, "suite")


def read(config: pytest.Config) -> Options:
    """The options of this run."""
    chosen_engines, chosen_sizes = config.getoption("engines"), config.getoption("batch_sizes")
    return Options(
        batch_sizes=chosen_sizes or cases.BATCH_SIZES,
        convergence_batch_sizes=chosen_sizes or cases.CONVERGENCE_BATCH_SIZES,
        engines=chosen_engines or of_one_process(engines.ENGINES),
        convergence_engines=chosen_engines or cases.CONVERGENCE_ENGINES,
        alignment_engines=resident(chosen_engines or cases.ALIGNMENT_ENGINES),
        groups=groups(config.getoption("workers") or cases.shares_of_cores()),
        shared_engines=of_workers(chosen_engines or engines.ENGINES),
        worker_epoch_batch_sizes=chosen_sizes or (cases.WORKERS_EPOCH_BATCH_SIZE,),
        worker_batch_sizes=chosen_sizes or cases.WORKERS_BATCH_SIZES,
        native_form=config.getoption("native_form"),
        epoch_samples=config.getoption("epoch_samples"),
        learning_rate=config.getoption("lr"),
        lr_rules=config.getoption("lr_rules"),
        target_accuracy=config.getoption("target_accuracy"),
        max_epochs=config.getoption("max_epochs"),
        seeds=config.getoption("seeds"),
        threads=config.getoption("threads"),
        device=config.getoption("device"),
        data_root=config.getoption("data_root"),
        cache_dir=config.getoption("cache_dir"),
        force=config.getoption("force"),
    )
