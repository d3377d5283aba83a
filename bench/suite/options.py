"""The suite's command-line options, each refused in a sentence when it makes no sense."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import cases
from mnist_mlp import arguments, cache, engines
from mnist_mlp.learning_rate import RULES


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure, and on what."""

    batch_sizes: tuple[int, ...]
    convergence_batch_sizes: tuple[int, ...]
    engines: tuple[str, ...]
    convergence_engines: tuple[str, ...]
    precision: str
    learning_rate: float
    lr_rules: tuple[str, ...]
    target_accuracy: float
    max_epochs: int
    seeds: tuple[int, ...]
    threads: int | None
    device: str
    data_root: Path | None
    cache_dir: Path | None

    @property
    def resident_engines(self) -> tuple[str, ...]:
        """The chosen engines that train on tensors in memory."""
        return tuple(name for name in self.engines if engines.load(name).is_resident)


def folder(text: str) -> Path:
    """A folder that exists."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return Path(text)


def add_to(parser: pytest.Parser) -> None:
    """Add the suite's options to pytest's."""
    add = parser.getgroup("batch size suite").addoption
    add(
        "--batch-sizes",
        type=arguments.several(arguments.whole_number),
        metavar="B,B,...",
        help=f"samples a step (default: {','.join(map(str, cases.BATCH_SIZES))}, and for time to "
        f"target {','.join(map(str, cases.CONVERGENCE_BATCH_SIZES))})",
    )
    add(
        "--engines",
        type=arguments.several(arguments.one_of("engine", tuple(engines.ENGINES))),
        metavar="NAME,...",
        help=f"ways to train: {', '.join(engines.ENGINES)} (default: all, and "
        f"{', '.join(cases.CONVERGENCE_ENGINES)} alone for time to target)",
    )
    add(
        "--precision",
        choices=engines.PRECISIONS,
        default=engines.PRECISIONS[0],
        help="of the factors of large products, in the engines that offer it: compiled "
        f"(default: {engines.PRECISIONS[0]})",
    )
    add(
        "--lr",
        type=arguments.positive_number,
        default=cases.LEARNING_RATE,
        help=f"learning rate at batch size 1 (default: {cases.LEARNING_RATE})",
    )
    add(
        "--lr-rules",
        type=arguments.several(arguments.one_of("learning rate rule", tuple(RULES))),
        default=cases.LR_RULES,
        metavar="NAME,...",
        help=f"from it to other batch sizes, for time to target: {', '.join(RULES)} "
        f"(default: {','.join(cases.LR_RULES)})",
    )
    add(
        "--target-accuracy",
        type=arguments.fraction,
        default=cases.TARGET_ACCURACY,
        help=f"of the test set, that training must reach (default: {cases.TARGET_ACCURACY})",
    )
    add(
        "--max-epochs",
        type=arguments.whole_number,
        default=cases.MAX_EPOCHS,
        help=f"that a run may take to reach it (default: {cases.MAX_EPOCHS})",
    )
    add(
        "--seeds",
        type=arguments.several(arguments.seed),
        default=cases.SEEDS,
        metavar="N,N,...",
        help=f"a run to the target each (default: {','.join(map(str, cases.SEEDS))})",
    )
    add("--threads", type=arguments.threads, help="that torch computes with (default: torch's own)")
    add("--device", type=arguments.device, default="cpu", help="cpu, cuda, cuda:N (default: cpu)")
    add(
        "--data-root",
        type=folder,
        help="instead of MNIST, a data set in torchvision's layout; write --data-root=FOLDER, as "
        "pytest takes a folder that stands alone for its own",
    )
    add("--cache-dir", type=Path, help=f"for unpacked MNIST (or set {cache.CACHE_VARIABLE})")


def read(config: pytest.Config) -> Options:
    """The options of this run."""
    chosen_engines, chosen_sizes = config.getoption("engines"), config.getoption("batch_sizes")
    precision = config.getoption("precision")
    if not any(
        precision in engines.load(name).precisions for name in chosen_engines or engines.ENGINES
    ):
        raise pytest.UsageError(
            f"no chosen engine computes in {precision}: add compiled to --engines"
        )
    return Options(
        batch_sizes=chosen_sizes or cases.BATCH_SIZES,
        convergence_batch_sizes=chosen_sizes or cases.CONVERGENCE_BATCH_SIZES,
        engines=chosen_engines or tuple(engines.ENGINES),
        convergence_engines=chosen_engines or cases.CONVERGENCE_ENGINES,
        precision=precision,
        learning_rate=config.getoption("lr"),
        lr_rules=config.getoption("lr_rules"),
        target_accuracy=config.getoption("target_accuracy"),
        max_epochs=config.getoption("max_epochs"),
        seeds=config.getoption("seeds"),
        threads=config.getoption("threads"),
        device=config.getoption("device"),
        data_root=config.getoption("data_root"),
        cache_dir=config.getoption("cache_dir"),
    )
