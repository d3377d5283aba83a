"""The suite's command-line options; bad values are rejected with one sentence."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from bench import cases, command_line, option_types
from mnist_mlp import arguments, engines

NATIVE_FORMS = ("fastest", "simplest")


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
    add = parser.getgroup("batch size suite").addoption
    shared = partial(command_line.add, add)
    shared(
        "--batch-sizes",
        help=f"samples a step (default: {option_types.listed(cases.BATCH_SIZES)}, and for time to "
        f"target {option_types.listed(cases.CONVERGENCE_BATCH_SIZES)})",
    )
    shared(
        "--engines",
        help=f"ways to train: {', '.join(engines.ENGINES)} (default: those "
        "for one process, and "
        f"{option_types.listed(cases.CONVERGENCE_ENGINES)} alone for time to target)",
    )
    add(
        "--native-form",
        choices=NATIVE_FORMS,
        default=NATIVE_FORMS[0],
        help="that native takes a step in: the fastest by a trial, or the simplest, which is the "
        "same in every process (default: %(default)s)",
    )
    add(
        "--epoch-samples",
        type=arguments.whole_number,
        metavar="N",
        help="of the training set that an epoch passes over (default: all)",
    )
    add(
        "--workers",
        type=option_types.several(arguments.whole_number),
        metavar="P,P,...",
        help="processes that share a batch, each on its part of the cores (default: "
        f"{option_types.listed(cases.shares_of_cores())})",
    )
    shared("--lr", "--lr-rules", "--target-accuracy", "--max-epochs", "--seeds")
    shared("--threads", "--device")
    shared(
        "--data-root",
        type=option_types.folder,
        help="instead of MNIST, a data set in torchvision's layout; write --data-root=FOLDER, as "
        "pytest takes a folder that stands alone for its own",
    )
    shared("--cache-dir")
    shared("--force")
    add(
        "--rerun-disturbed",
        type=option_types.at_least(0),
        default=0,
        metavar="N",
        help="run a case again at the end, up to N times, if others had the machine while it was "
        "timed; the run that was disturbed least is kept (default: %(default)s)",
    )
    add(
        "--journal",
        type=option_types.output_file,
        metavar="FILE",
        help="keep each case here from the moment it ends (default: a new file in journals/ beside "
        "pytest-benchmark's saved runs)",
    )
    add(
        "--resume",
        type=Path,
        metavar="JOURNAL",
        help="go on with the run of this journal: leave out the cases that it holds",
    )


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
