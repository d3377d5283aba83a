"""Parses the trainer's command line, lets it train, and prints an error as one line.

Importing it does not import torch.
"""

import sys
from collections.abc import Sequence
from functools import partial

from mnist_mlp import arguments, workers
from mnist_mlp.errors import UserError
from mnist_mlp.workers import launched


def main(words: Sequence[str] | None = None) -> int:
    """Train as the command line says, and return the exit code."""
    with launched.first_speaks():
        options = arguments.parse(words)
    from mnist_mlp import trainer  # noqa: PLC0415 - torch takes seconds to import

    if workers.is_launched():
        return launched.run_together(partial(trainer.run, options), options.device)
    try:
        trainer.run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
