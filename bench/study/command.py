"""python -m bench steps: how many steps each batch size takes, at a rate that suits it."""

import argparse
import platform
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

from pytest_benchmark.utils import get_commit_info
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import command_line, option_types
from bench.instruments.processes import ProcessError
from bench.printing import show
from bench.study import check, plan, reference, words, workers
from bench.study.ledger import Ledger, LedgerError
from bench.study.plan import Carry, Plan
from bench.study.reference import Found, Reference
from mnist_mlp import arguments, atomic, cache, datasets
from mnist_mlp.atomic import WriteError
from mnist_mlp.data import Data

DESCRIPTION = """Tune the learning rate of each batch size on a validation set, then train with
fresh seeds at the tuned rates and at 0.1. Each run is a line of FILE as soon as it ends: the same
command goes on where it was interrupted, and prints what a finished study found."""
MEASURED_WITH = ("torch", "numba", "numpy")
OBSTACLES = (LedgerError, ProcessError, WriteError, datasets.DataError, cache.CacheError)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add(
        "file",
        type=option_types.output_file,
        nargs="?",
        metavar="FILE",
        help="of JSON lines, a run each (default: print what the study of this package found)",
    )
    shared, listed = partial(command_line.add, add), option_types.listed
    shared(
        "--batch-sizes",
        default=plan.BATCH_SIZES,
        help=f"whose rates are tuned (default: {listed(plan.BATCH_SIZES)})",
    )
    add(
        "--targets",
        type=option_types.several(command_line.fraction),
        default=plan.TARGETS,
        metavar="ACCURACY,...",
        help=f"a rate is tuned for each (default: {listed(plan.TARGETS)})",
    )
    number = arguments.whole_number
    add(
        "--tuning-seeds",
        type=number,
        default=plan.TUNING_SEEDS,
        metavar="N",
        help="runs of a rate, unless it is hopeless (default: %(default)s)",
    )
    add(
        "--fresh-seeds",
        type=number,
        default=plan.FRESH_SEEDS,
        metavar="N",
        help="runs at a tuned rate, with seeds that chose nothing (default: %(default)s)",
    )
    add(
        "--summary",
        type=option_types.output_file,
        metavar="FILE",
        help="write tuned rates and each fresh run's bounds as JSON",
    )
    shared(
        "--max-epochs",
        help=f"of a run at the fixed rate; at tuned rates {plan.TUNED_BUDGET} times as many "
        "(default: %(default)s)",
    )
    shared("--data-root", "--cache-dir")


def run(options: argparse.Namespace) -> int:
    """Make a study, or go on with it, and print what it found; without a file, the package's."""
    console = Console(highlight=False)
    if options.summary and (not options.file or options.summary == options.file):
        print(
            "error: --summary is of a study that is made: name its FILE, and another for it",
            file=sys.stderr,
        )
        return 2
    try:
        data = datasets.load(data_root=options.data_root, cache_dir=options.cache_dir)
        findings = _make(options, data, console) if options.file else Reference.shipped()
    except OBSTACLES as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    show(words.report(findings), console)
    if not options.file and data.name != findings.study["data"]:
        console.print(f"Nothing was trained: the study is of {findings.study['data']} alone.")
    elif not options.file:
        console.print()
        for run_again in check.check(findings, data):
            console.print(words.checked(run_again), soft_wrap=True)
    return 0


def _make(options: argparse.Namespace, data: Data, console: Console) -> Reference:
    """Run what the ledger lacks."""
    chosen = Plan(
        batch_sizes=tuple(sorted(options.batch_sizes)),
        targets=tuple(sorted(options.targets)),
        tuning_seeds=options.tuning_seeds,
        fresh_seeds=options.fresh_seeds,
        max_epochs=options.max_epochs,
    )
    header = _header(chosen, data.name)
    ledger = Ledger(options.file, header=header, decides=("plan", "data"))
    found = _study(chosen, len(data.train), ledger, options, console)
    findings = reference.of_study(ledger, found, chosen.targets)
    if options.summary:
        atomic.write({options.summary: reference.as_text(findings).encode()})
    return findings


def _header(chosen: Plan, data_name: str) -> dict[str, object]:
    """Describe the study, and where and with what it is made."""
    commit = get_commit_info()
    return {
        "plan": asdict(chosen),
        "data": data_name,
        "command": "python -m bench " + " ".join(sys.argv[1:]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.get("id"),
        "dirty": commit.get("dirty"),
        "python": platform.python_version(),
        **{name: version(name) for name in MEASURED_WITH},
    }


def _study(
    chosen: Plan, samples: int, ledger: Ledger, options: argparse.Namespace, console: Console
) -> list[Found]:
    """Study all batch sizes at once: each waits for its own runs, which share the processors."""
    progress = Progress(
        TextColumn("{task.completed} of at most {task.total} runs"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    bar = progress.add_task("", total=chosen.most_runs, completed=len(ledger.runs))
    with (
        ThreadPoolExecutor(len(chosen.batch_sizes)) as threads,
        progress,
        workers.carrying(
            ledger,
            data_root=options.data_root,
            cache_dir=options.cache_dir,
            tell=lambda _: progress.advance(bar),
        ) as carry,
    ):
        running = [
            threads.submit(_at, batch_size, chosen, samples, carry)
            for batch_size in chosen.batch_sizes
        ]
        for ended in as_completed(running):
            one = ended.result()
            rates = ", ".join(f"{one.tuned.best_rate(target):.3g}" for target in chosen.targets)
            console.print(f"batch size {one.batch_size}: tuned rates {rates}")
    return [each.result() for each in running]


def _at(batch_size: int, chosen: Plan, samples: int, carry: Carry) -> Found:
    """Study one batch size."""
    tuned = chosen.tuned(batch_size, samples, carry)
    fresh = chosen.fresh(batch_size, samples, tuned, carry)
    return Found(batch_size=batch_size, tuned=tuned, fresh=fresh)
