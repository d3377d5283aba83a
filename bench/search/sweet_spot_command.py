"""What python -m bench sweet-spot does: predict, train, print."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from bench import output
from bench.instruments.processes import ProcessError
from bench.instruments.step_time import Setting
from bench.output import OutputError
from bench.search import figure, sweet_spot, sweet_spot_words
from bench.search.sweet_spot import CONFIRMING_SEEDS, Found
from bench.study.reference import Reference
from mnist_mlp import cache, datasets, device, engines
from mnist_mlp.data import Data
from mnist_mlp.engines.engine import PrecisionError, UnavailableError

OBSTACLES = (
    *(cache.CacheError, datasets.DataError, UnavailableError, PrecisionError),
    *(ProcessError, OutputError),
)


class UnknownStepsError(Exception):
    """No study has measured the steps that the options ask for."""


def run(options: argparse.Namespace) -> int:
    """Print the prediction, and then what training at the best batch size took."""
    console = Console(highlight=False)
    reference = Reference.shipped()
    try:
        for name in options.engines:
            engines.load(name).check_precision(options.precision)
        _check_target(options.target_accuracy, reference)
        figure.check_kind(options.figure)
        device.use(options.device)
        setting = _setting(options)
        with device.threads(setting.threads):
            data = datasets.load(
                data_root=options.data_root, cache_dir=options.cache_dir, device=options.device
            )
            _check_data(data, reference)
            found = _found(options, setting, reference, data, console)
    except (*OBSTACLES, UnknownStepsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.figure:
        output.write({options.figure: figure.drawn(found, options.figure)})
    return 0


def _setting(options: argparse.Namespace) -> Setting:
    return Setting(
        threads=options.threads or torch.get_num_threads(),
        precision=options.precision,
        device=options.device,
        data_root=options.data_root,
        cache_dir=options.cache_dir,
    )


def _check_target(target: float, reference: Reference) -> None:
    if target not in reference.tuned:
        known = ", ".join(f"{each:g}" for each in reference.tuned)
        raise UnknownStepsError(
            f"steps to test accuracy {target:g} are not known, only those to {known}: choose one "
            "of these, or race whole trainings with --search"
        )


def _check_data(data: Data, reference: Reference) -> None:
    name = reference.study["data"]
    if data.name != name:
        raise UnknownStepsError(
            f"steps to a target are known for {name}, not for {data.name}: race whole trainings "
            "with --search"
        )


def _found(
    options: argparse.Namespace,
    setting: Setting,
    reference: Reference,
    data: Data,
    console: Console,
) -> list[Found]:
    """Predict, train at the best batch sizes, and print each engine's answer."""
    console.print(
        f"{data.name}, {setting.device}, {setting.threads} threads, {setting.precision}: to test "
        f"accuracy {options.target_accuracy:g}"
    )
    runs = reference.runs(options.target_accuracy, judged_on="test")
    with _progress(console) as tell:
        predicted = sweet_spot.predict(
            options.engines, options.target_accuracy, setting, reference, tell=tell
        )
        found = []
        for one in predicted:
            best = one.predicted.best
            trained = []
            for seed in CONFIRMING_SEEDS:
                tell(f"{one.engine}: training at batch size {best}, seed {seed}")
                trained.append(sweet_spot.train(one, best, data, setting, seed=seed))
            found.append(replace(one, runs=trained))
    for one in found:
        console.print()
        for part in sweet_spot_words.report(one, samples=len(data.train), runs=runs):
            console.print(part, soft_wrap=isinstance(part, str))
    return found


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], object]]:
    """On a terminal, a live line with what is going on; its clock stands still in between."""
    progress = Progress(
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        auto_refresh=False,  # a thread that redraws would disturb what is measured
        transient=True,
        disable=not console.is_terminal,
    )
    task = progress.add_task("")
    with progress:
        yield lambda text: progress.update(task, description=text, refresh=True)
