"""python -m bench: find the best batch size, report on saved runs."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from bench import options
from mnist_mlp import interrupts
from mnist_mlp.errors import UserError

# Command -> the module that defines its `run`, and a line of help.
COMMANDS = {
    "sweet-spot": (
        "bench.best.command",
        "which batch size trains fastest to a target accuracy here?",
    ),
    "report": (
        "bench.report.command",
        "figures, best batch sizes and machine of saved runs, as one HTML page",
    ),
    "recover": (
        "bench.runs.recover_command",
        "save the finished cases of an interrupted run as a run file",
    ),
    "scale": (
        "bench.best.scale_command",
        "do several workers train faster to the target, and at which batch size?",
    ),
}


def main(words: Sequence[str] | None = None) -> int:
    """Import the command that the words name, run it, and return the exit code."""
    words = sys.argv[1:] if words is None else words
    parser = argparse.ArgumentParser(prog="python -m bench")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, question) in COMMANDS.items():
        command = commands.add_parser(name, help=question, description=question)
        command.set_defaults(module=module)
        options.add(command.add_argument, name)
    chosen = parser.parse_args(words)
    try:
        return int(import_module(chosen.module).run(chosen))  # importing torch takes seconds
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(interrupts.run(main))
