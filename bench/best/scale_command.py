"""python -m bench scale: do several workers train faster to the target, and at which batch size."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.console import Console

from bench.best import known_steps, scale, scale_figure, scale_words
from bench.best.known_steps import UnknownStepsError
from bench.best.progress_line import progress_line
from bench.best.reference import Reference
from bench.measure import crew, group_time, machine
from bench.measure.crew import CrewError
from bench.measure.group_time import Group, GroupTimes
from bench.options import FEWEST_WORKERS
from bench.report import picture
from bench.report.printing import show
from mnist_mlp import atomic
from mnist_mlp.atomic import WriteError

WIDTH = 110  # of the tables in a file
LARGER_BATCH_SIZES = (4096, 8192)  # for throughput: steps to the target are not known there


def run(options: argparse.Namespace) -> int:
    """Measure, predict, print."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    cores = os.cpu_count() or 1
    workers = options.workers or max(FEWEST_WORKERS, cores)
    threads = options.threads or max(1, cores // workers)
    try:
        runs = known_steps.runs(options.target_accuracy, Reference.shipped())
        with progress_line(console) as tell:
            times = group_time.measure(
                groups(workers, threads),
                [*runs, *LARGER_BATCH_SIZES],
                partial(crew.started, workers),
                crews=options.crews,
                data=(None, options.cache_dir),
                tell=tell,
            )
        found = scale.answer(times, runs, target=options.target_accuracy, threads=threads)
        show(scale_words.report(found), console)
        files = {}
        if options.json:
            files[options.json] = as_json(times)
        if options.figure:
            files[options.figure] = picture.drawn(scale_figure.chart(found), options.figure.suffix)
        atomic.write(files)
    except (CrewError, WriteError, UnknownStepsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def groups(workers: int, threads: int) -> list[Group]:
    """One worker, so many, and one on as many threads as they have together."""
    several = [count for count in (2, 4) if count < workers]
    wide = workers * threads
    return [
        Group(workers=1, threads=threads),
        *(Group(workers=count, threads=threads) for count in (*several, workers)),
        *([Group(workers=1, threads=wide)] if wide <= (os.cpu_count() or 1) else []),
    ]


def as_json(times: GroupTimes) -> bytes:
    """What was measured, and on what."""
    saved: dict[str, Any] = {
        "machine": machine.describe(),
        "engine": group_time.ENGINE,
        **{
            name: [
                {**asdict(group), "size": size, "crews": turns}
                for group, of_group in kinds.items()
                for size, turns in of_group.items()
            ]
            for name, kinds in (("steps", times.steps), ("exchanges", times.exchanges))
        },
    }
    return json.dumps(saved, indent=1).encode()
