"""python -m bench sweet-spot: options, and which of two ways they ask for."""

import argparse
import sys

from bench import cases
from bench.measure import processes
from bench.options import SEARCH_SECONDS

RACE_ONLY = {
    "lr": cases.LEARNING_RATE,
    "lr_rules": cases.LR_RULES,
    "seeds": cases.SEEDS,
    "max_epochs": cases.MAX_EPOCHS,
    "time_limit": SEARCH_SECONDS,
}


def run(options: argparse.Namespace) -> int:
    """Answer in the way that is asked for."""
    if options.search:
        return _race(options)
    for name in RACE_ONLY:
        if hasattr(options, name):
            option = name.replace("_", "-")
            sentence = "is for the race of whole trainings: add --search, or leave it out"
            print(f"error: --{option} {sentence}", file=sys.stderr)
            return 2
    processes.start_server()  # imports torch while this process does
    from bench.best import sweet_spot_command  # noqa: PLC0415 - see above

    return sweet_spot_command.run(options)


def _race(options: argparse.Namespace) -> int:
    if len(options.engines) > 1 or options.figure:
        print("error: --search takes one engine and draws no figure", file=sys.stderr)
        return 2
    from bench.best import race_command  # noqa: PLC0415 - torch takes seconds to import

    chosen = RACE_ONLY | vars(options) | {"engine": options.engines[0]}
    return race_command.run(argparse.Namespace(**chosen))
