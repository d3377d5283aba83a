"""python -m bench sweet-spot: options, and which of two ways they ask for."""

import argparse
import sys
from functools import partial

from bench import cases, command_line, option_types
from bench.instruments import processes
from mnist_mlp import arguments, engines

DESCRIPTION = """Predict which batch size trains fastest to a target accuracy, from steps that are
known and seconds that are measured here, and train there. With --search, race whole trainings
instead: for other data, targets and learning rates."""
TIME_LIMIT_SECONDS = 90
RACE_ONLY = {
    "lr": cases.LEARNING_RATE,
    "lr_rules": cases.LR_RULES,
    "seeds": cases.SEEDS,
    "max_epochs": cases.MAX_EPOCHS,
    "time_limit": TIME_LIMIT_SECONDS,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    shared = partial(command_line.add, parser.add_argument)
    shared(
        "--engines",
        default=cases.CONVERGENCE_ENGINES,
        help=f"ways to train: {', '.join(engines.ENGINES)} "
        f"(default: {option_types.listed(cases.CONVERGENCE_ENGINES)})",
    )
    shared("--target-accuracy", "--threads", "--device", "--force")
    parser.add_argument(
        "--figure",
        type=option_types.figure_file,
        metavar="FILE",
        help="draw time to target against batch size, as .png, .svg or .html",
    )
    parser.add_argument("--search", action="store_true", help="race whole trainings")
    race = parser.add_argument_group("with --search")
    of_race = partial(command_line.add, race.add_argument, default=argparse.SUPPRESS)
    listed = option_types.listed
    of_race("--lr", help=f"learning rate at batch size 1 (default: {cases.LEARNING_RATE})")
    of_race("--lr-rules", help=f"rules for the rate (default: {listed(cases.LR_RULES)})")
    of_race(
        "--seeds",
        help="one run each for every batch size that is not clearly slower "
        f"(default: {listed(cases.SEEDS)})",
    )
    of_race("--max-epochs", help=f"that a run may take (default: {cases.MAX_EPOCHS})")
    race.add_argument(
        "--time-limit",
        type=arguments.positive_number,
        default=argparse.SUPPRESS,
        metavar="SECONDS",
        help="of the whole search, compiling and evaluating included "
        f"(default: {TIME_LIMIT_SECONDS})",
    )
    shared("--data-root", "--cache-dir")


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
    from bench.search import sweet_spot_command  # noqa: PLC0415 - see above

    return sweet_spot_command.run(options)


def _race(options: argparse.Namespace) -> int:
    if len(options.engines) > 1 or options.figure:
        print("error: --search takes one engine and draws no figure", file=sys.stderr)
        return 2
    from bench.search import race_command  # noqa: PLC0415 - torch takes seconds to import

    chosen = RACE_ONLY | vars(options) | {"engine": options.engines[0]}
    return race_command.run(argparse.Namespace(**chosen))
