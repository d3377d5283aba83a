"""python -m bench scale: do several workers train faster to the target, and at which batch size."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.console import Console

from bench import cases, command_line, option_types, picture
from bench.instruments import crew, group_time, machine
from bench.instruments.crew import CrewError
from bench.instruments.group_time import Group, GroupTimes
from bench.printing import show
from bench.search import known_steps, scale, scale_figure, scale_words
from bench.search.known_steps import UnknownStepsError
from bench.search.progress_line import progress_line
from bench.study.reference import Reference
from mnist_mlp import atomic
from mnist_mlp.atomic import WriteError

DESCRIPTION = """Time steps of one worker and of several, and their exchange of gradients, and
multiply by steps to the target, which are known: is a batch that workers share trained faster?"""
FEWEST_WORKERS = 2
WIDTH = 110  # of the tables in a file
LARGER_BATCH_SIZES = (4096, 8192)  # for throughput: steps to the target are not known there


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "--workers",
        type=option_types.at_least(FEWEST_WORKERS),
        metavar="P",
        help=f"that share a batch (default: {max(FEWEST_WORKERS, os.cpu_count() or 1)})",
    )
    shared = partial(command_line.add, parser.add_argument)
    shared("--target-accuracy", default=cases.TARGET_ACCURACY)
    shared("--threads", help="of each worker (default: its part of the cores)")
    parser.add_argument(
        "--crews",
        type=option_types.at_least(2),  # replicates, for an interval
        default=group_time.CREWS,
        metavar="N",
        help="times that the workers are started anew (default: %(default)s)",
    )
    add = partial(parser.add_argument, metavar="FILE")
    drawn = "draw time to target, as .png, .svg or .html"
    add("--figure", type=option_types.figure_file, help=drawn)
    add("--json", type=option_types.output_file, help="save what was measured")
    shared("--cache-dir")


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
