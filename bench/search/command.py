"""python -m bench sweet-spot: options to a search, and its answer."""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bench import cases, command_line
from bench.search import race
from bench.search.findings import Answer, line, report
from bench.search.race import Run
from bench.search.trainer import Trainer
from mnist_mlp import arguments, cache, engines

if TYPE_CHECKING:
    from mnist_mlp.data import Data

HELP = "which batch size trains fastest to a target accuracy here?"
DESCRIPTION = """Train to the target at batch sizes around the square root of the training set, go
on where training is fastest, and stop early what is slower."""
TIME_LIMIT_SECONDS = 90
INTERRUPTED = 130


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    commands.add_parser("sweet-spot", parents=[parser()], help=HELP, description=DESCRIPTION)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(add_help=False)
    shared = partial(command_line.add, parser.add_argument)
    shared("--engine", default=cases.CONVERGENCE_ENGINES[0])
    shared("--precision", "--lr", "--lr-rules")
    shared(
        "--seeds",
        help="a run each of what is not clearly slower "
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
    parser.set_defaults(run=run)
    return parser


def main(words: Sequence[str]) -> int:
    """Do what the command line says; the exit code."""
    return run(parser().parse_args(words))


def run(options: argparse.Namespace) -> int:
    """Search, and say what was found: all of it, or what there is when it ends early."""
    started = time.monotonic()
    # torch takes seconds to import, and the other commands need none of it: here and below.
    from mnist_mlp import datasets  # noqa: PLC0415
    from mnist_mlp.engines.engine import CompilerError, PrecisionError  # noqa: PLC0415

    console = Console(highlight=False)
    runs: list[Run] = []
    interrupted = False
    try:
        data = _prepare(options)
        _search(options, data, started + options.time_limit, runs, console)
    except KeyboardInterrupt:
        interrupted = True
    except (cache.CacheError, datasets.DataError, CompilerError, PrecisionError) as error:
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


def _prepare(options: argparse.Namespace) -> "Data":
    import torch  # noqa: PLC0415

    from mnist_mlp import datasets, device  # noqa: PLC0415

    engines.load(options.engine).check_precision(options.precision)
    device.use(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    data = datasets.load(
        data_root=options.data_root, cache_dir=options.cache_dir, device=options.device
    )
    print(
        f"{data.name}, {options.engine} engine, {options.device}, {torch.get_num_threads()} "
        f"threads, {options.precision}: to test accuracy {options.target_accuracy:g} in at most "
        f"{options.max_epochs} epochs, {options.time_limit:g} s for the whole search",
        flush=True,
    )
    return data


def _search(
    options: argparse.Namespace, data: "Data", deadline: float, runs: list[Run], console: Console
) -> None:
    """Append each run as it ends, a line each; on a terminal, show how the current one goes."""
    with Progress(
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
        console=console,
        auto_refresh=False,  # a thread that redraws would disturb what is measured
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        trainer = Trainer(options=options, data=data, deadline=deadline, progress=progress)
        for run in race.search(
            trainer.train,
            lr_rules=options.lr_rules,
            seeds=options.seeds,
            samples=len(data.train),
            deadline=deadline,
        ):
            runs.append(run)
            progress.console.print(line(run, max_epochs=options.max_epochs), soft_wrap=True)
