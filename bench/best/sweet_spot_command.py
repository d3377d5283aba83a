"""What python -m bench sweet-spot does: predict, train, print."""

import argparse
import sys
from dataclasses import replace

import torch
from rich.console import Console

from bench.best import figure, known_steps, sweet_spot, sweet_spot_words
from bench.best.known_steps import UnknownStepsError
from bench.best.progress_line import progress_line
from bench.best.reference import Reference
from bench.best.sweet_spot import CONFIRMING_SEEDS, Found
from bench.laws.steps_law import Runs
from bench.measure.processes import ProcessError
from bench.measure.step_time import Setting
from bench.report import picture
from bench.report.printing import show
from mnist_mlp import atomic, cache, datasets, device, memory
from mnist_mlp.atomic import WriteError
from mnist_mlp.data import Data
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.memory import NotEnoughMemoryError

OBSTACLES = (
    *(cache.CacheError, datasets.DataError, UnavailableError),
    *(ProcessError, WriteError, NotEnoughMemoryError),
)


def run(options: argparse.Namespace) -> int:
    """Print the prediction, and then what training at the best batch size took."""
    console = Console(highlight=False)
    reference = Reference.shipped()
    try:
        runs = known_steps.runs(options.target_accuracy, reference)
        device.use(options.device)
        setting = _setting(options)
        with device.threads(setting.threads):
            data = datasets.load(
                data_root=options.data_root, cache_dir=options.cache_dir, device=options.device
            )
            _check_data(data, reference)
            found = _found(options, setting, (reference, runs), data, console)
        if options.figure:
            drawn = picture.drawn(figure.chart(found), options.figure.suffix)
            atomic.write({options.figure: drawn})
    except (*OBSTACLES, UnknownStepsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _setting(options: argparse.Namespace) -> Setting:
    return Setting(
        threads=options.threads or torch.get_num_threads(),
        device=options.device,
        data_root=options.data_root,
        cache_dir=options.cache_dir,
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
    known: tuple[Reference, Runs],
    data: Data,
    console: Console,
) -> list[Found]:
    """Predict, train at the best batch sizes, and print each engine's answer."""
    console.print(
        f"{data.name}, {setting.device}, {setting.threads} threads: to test accuracy "
        f"{options.target_accuracy:g}"
    )
    reference, runs = known
    study = reference.study
    console.print(
        f"Steps are those of a study of {study['data']}, {study['started'][:10]}, commit "
        f"{study['commit'][:7]}; seconds are measured here.",
        soft_wrap=True,
    )
    if not options.force:
        memory.require(
            sweet_spot.PROCESSES * memory.own_bytes(),
            f"measuring in {sweet_spot.PROCESSES} processes beside this one",
            instead="close other programs, or add --force",
        )
    with progress_line(console) as tell:
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
            found.append(replace(one, run_seconds=trained))
    for one in found:
        console.print()
        show(sweet_spot_words.report(one, samples=len(data.train), runs=runs), console)
    return found
