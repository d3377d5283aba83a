"""python -m bench sweet-spot: known steps times measured seconds, or a race of whole trainings."""

import argparse

from bench import cases
from bench.measure import processes
from bench.options import SEARCH_SECONDS
from mnist_mlp.errors import UsageError

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
        if len(options.engines) > 1 or options.figure:
            raise UsageError("--search takes one engine and draws no figure")
        from bench.best import race_command  # noqa: PLC0415 - torch takes seconds to import

        return race_command.run(argparse.Namespace(**RACE_ONLY | vars(options)))
    for name in RACE_ONLY:
        if hasattr(options, name):
            sentence = "is for the race of whole trainings: add --search, or leave it out"
            raise UsageError(f"--{name.replace('_', '-')} {sentence}")
    processes.start_server()  # imports torch while this process does
    from bench.best import sweet_spot_command  # noqa: PLC0415

    return sweet_spot_command.run(options)
