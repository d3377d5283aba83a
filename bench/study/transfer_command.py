"""python -m bench transfer: the best batch size of an engine, predicted by another one's steps."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

from pytest_benchmark.utils import get_commit_info
from rich.console import Console

from bench import command_line, option_types
from bench.instruments import processes
from bench.instruments.processes import ProcessError
from bench.instruments.step_time import Setting
from bench.printing import show
from bench.study import transfer, transfer_words, workers
from bench.study.ledger import Ledger, LedgerError
from bench.study.reference import Reference
from mnist_mlp import atomic, cache, datasets
from mnist_mlp.atomic import WriteError
from mnist_mlp.engines.engine import UnavailableError

DESCRIPTION = """Predict the best batch size of each engine, with one thread and with all, for
several targets and two sizes of the training set; then measure there and at other sizes. Trainings
are kept as lines of FILE, so that the command goes on where it was interrupted; timings are not."""
OBSTACLES = (
    *(LedgerError, datasets.DataError, cache.CacheError),
    *(ProcessError, UnavailableError, WriteError),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    parser.add_argument("file", type=option_types.output_file, metavar="FILE", help="JSON lines")
    parser.add_argument(
        "--summary",
        type=option_types.output_file,
        metavar="FILE",
        help="write what was predicted and measured in each cell as JSON",
    )
    partial(command_line.add, parser.add_argument)("--cache-dir")


def run(options: argparse.Namespace) -> int:
    """Check every cell, and print them, the largest regret first."""
    if options.summary == options.file:
        print("error: --summary would overwrite FILE: name another file", file=sys.stderr)
        return 2
    processes.start_server()
    console = Console(highlight=False)
    header = {
        "checks": "transfer",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": get_commit_info().get("id"),
    }
    try:
        ledger = Ledger(options.file, header=header, decides=("checks",))
        checked = _check(ledger, options, console)
    except OBSTACLES as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    show(transfer_words.report(checked), console)
    return 0


def _check(
    ledger: Ledger, options: argparse.Namespace, console: Console
) -> Sequence[transfer.Checked]:
    def tell(text: str) -> None:
        console.print(f"{datetime.now().astimezone():%H:%M:%S} {text}", soft_wrap=True)

    with workers.carrying(
        ledger, data_root=None, cache_dir=options.cache_dir, tell=lambda _: None
    ) as carry:
        timing = Setting(threads=1, cache_dir=options.cache_dir)
        checked: list[transfer.Checked] = []
        for one in transfer.check(Reference.shipped(), carry, timing, tell=tell):
            checked.append(one)
            if options.summary:
                text = json.dumps([asdict(each) for each in checked], indent=1)
                atomic.write({options.summary: text.encode()})
    return checked
