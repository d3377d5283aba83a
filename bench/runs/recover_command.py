"""python -m bench recover: saves the journal of an interrupted run as a run file."""

import argparse
import json

from bench.runs import journal
from bench.units import counted
from mnist_mlp import atomic


def run(options: argparse.Namespace) -> int:
    """Write the run file, and print how many cases it holds."""
    kept = journal.read(options.journal)
    run = {key: kept.header[key] for key in journal.RUN} | {"benchmarks": kept.cases()}
    atomic.write({options.output: json.dumps(run, indent=4).encode()})
    torn = "; an incomplete last line is left out" if kept.is_torn else ""
    print(f"wrote {options.output}: {counted(len(kept.lines), 'case')}{torn}")
    return 0
