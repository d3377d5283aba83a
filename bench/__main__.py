"""python -m bench: find the best batch size, report on saved runs, gate a change."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from mnist_mlp import interrupts

# A command's module, with `add_options` and `run`, and one line on what it answers.
COMMANDS = {
    "sweet-spot": (
        "bench.search.command",
        "which batch size trains fastest to a target accuracy here?",
    ),
    "report": (
        "bench.answer.report_command",
        "figures, best batch sizes and machine of saved runs, as one HTML page",
    ),
    "recover": (
        "bench.runs.recover_command",
        "the cases that a run which was cut off had finished, as a run file",
    ),
    "scale": (
        "bench.search.scale_command",
        "do several workers train faster to the target, and at which batch size?",
    ),
    "gate": ("bench.gate.command", "is the working tree slower than a revision?"),
    "audit": ("bench.gate.audit.command", "how often is the gate wrong on this machine?"),
}


def main(words: Sequence[str] | None = None) -> int:
    """Import the command that the words name, run it, and return the exit code."""
    words = sys.argv[1:] if words is None else words
    parser = argparse.ArgumentParser(prog="python -m bench")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, question) in COMMANDS.items():
        command = commands.add_parser(name, help=question, description=question)
        if words[:1] == [name]:  # the others' modules need not be imported: torch takes seconds
            import_module(module).add_options(command)
            command.set_defaults(run=import_module(module).run)
    options = parser.parse_args(words)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(interrupts.run(main))
