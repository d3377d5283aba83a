"""python -m bench recover: the journal of a run that was cut off, as a run file."""

import argparse
import json
import sys
from pathlib import Path

from bench import option_types
from bench.runs import journal
from bench.runs.journal import JournalError
from bench.units import counted
from mnist_mlp import atomic
from mnist_mlp.atomic import WriteError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("journal", type=Path, metavar="JOURNAL", help="such as .benchmarks/journals/NAME.jsonl")
    add(
        "-o",
        "--output",
        type=option_types.output_file,
        required=True,
        metavar="RUN.json",
        help="where to write the run, in pytest-benchmark's form",
    )


def run(options: argparse.Namespace) -> int:
    """Write the run, and print how much of it there is."""
    try:
        found = journal.read(options.journal)
        atomic.write({options.output: json.dumps(found.run(), indent=4).encode()})
    except (JournalError, WriteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    torn = "; a last line that was never finished is left out" if found.is_torn else ""
    print(f"wrote {options.output}: {counted(len(found.lines), 'case')}{torn}")
    return 0
