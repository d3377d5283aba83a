"""python -m bench sweet-spot: options to a search, and its answer."""

import argparse
import sys
import time
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bench import cases, command_line
from bench.search import race, trainer
from bench.search.findings import Answer, line, report
from bench.search.race import TrialResult
from bench.search.trainer import Trainer
from mnist_mlp import arguments

DESCRIPTION = """Train to the target at batch sizes around the square root of the training set, try
more of them where training is fastest, and stop slower runs early."""
TIME_LIMIT_SECONDS = 90
INTERRUPTED = 130


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    shared = partial(command_line.add, parser.add_argument)
    shared("--engine", default=cases.CONVERGENCE_ENGINES[0])
    shared("--precision", "--lr", "--lr-rules")
    shared(
        "--seeds",
        help="one run each for every batch size that is not clearly slower "
        f"(default: {command_line.listed(cases.SEEDS)})",
    )
    shared("--target-accuracy", "--max-epochs")
    parser.add_argument(
        "--time-limit",
        type=arguments.positive_number,
        default=TIME_LIMIT_SECONDS,
        metavar="SECONDS",
        help="of the whole search, compiling and evaluating included (default: %(default)s)",
    )
    shared("--threads", "--device", "--data-root", "--cache-dir")


def run(options: argparse.Namespace) -> int:
    """Search, and print the answer: all of it, or what there is when the search ends early."""
    started = time.monotonic()
    console = Console(highlight=False)
    runs: list[TrialResult] = []
    interrupted = False
    try:
        data = trainer.prepare(options)
        with _progress(console) as progress:
            deadline = started + options.time_limit
            _search(
                Trainer(options=options, data=data, deadline=deadline, progress=progress),
                runs,
            )
    except KeyboardInterrupt:
        interrupted = True
    except trainer.OBSTACLES as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if runs:
        took_seconds = time.monotonic() - started
        answer = Answer(
            options=options, samples=len(data.train), runs=runs, took_seconds=took_seconds
        )
        for part in report(answer):
            console.print(part, soft_wrap=isinstance(part, str))
    if interrupted:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if not runs:
        sentence = f"no run ended within {options.time_limit:g} s: allow more with --time-limit"
        print(f"error: {sentence}", file=sys.stderr)
        return 1
    return 0


def _progress(console: Console) -> Progress:
    """On a terminal, a live line that shows how the current run goes."""
    return Progress(
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
        console=console,
        auto_refresh=False,  # a thread that redraws would disturb what is measured
        transient=True,
        disable=not console.is_terminal,
    )


def _search(trainer: Trainer, runs: list[TrialResult]) -> None:
    """Append and print each run as it ends."""
    for run in race.search(
        trainer.train,
        lr_rules=trainer.options.lr_rules,
        seeds=trainer.options.seeds,
        samples=len(trainer.data.train),
        deadline=trainer.deadline,
    ):
        runs.append(run)
        text = line(run, max_epochs=trainer.options.max_epochs)
        trainer.progress.console.print(text, soft_wrap=True)
