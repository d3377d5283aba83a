"""python -m bench sweet-spot: steps, known or counted here, times seconds measured here."""

import argparse

from bench import cases
from bench.measure import processes
from mnist_mlp.errors import UsageError

# Options that need trainings here, since the study did not make them.
TRAINS = ("task", "data_root", "rates", "runs", "batch_sizes", "time_limit", "max_epochs", "seeds")


def run(options: argparse.Namespace) -> int:
    """Answer from known steps where they are known, unless trainings are asked for."""
    processes.start_server()  # imports torch while this process does
    asked = [name for name in TRAINS if getattr(options, name) is not None]
    from bench.best.reference import Reference  # noqa: PLC0415 - torch takes seconds to import

    target = options.target_accuracy or cases.TARGET_ACCURACY
    if not asked and target in Reference.shipped().tuned:
        from bench.best import known_command  # noqa: PLC0415

        return known_command.run(options)
    if options.engines and len(options.engines) > 1:
        raise UsageError(
            "trainings find the steps to the target with one engine: name one with --engines"
        )
    from bench.best import search_command  # noqa: PLC0415

    return search_command.run(options)
