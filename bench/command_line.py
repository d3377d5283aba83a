"""Command-line options of the network and its training that commands of bench share."""

import argparse
from functools import partial
from typing import Any

from bench import cases
from bench.option_types import listed, one_of, several
from mnist_mlp import arguments, engines
from mnist_mlp.learning_rate import RULES


def fraction(text: str) -> float:
    """A number above 0 and at most 1: an accuracy."""
    value = arguments.number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a fraction above 0 and at most 1, such as 0.95"
        )
    return value


OPTIONS: dict[str, dict[str, Any]] = arguments.OPTIONS | {
    "--batch-sizes": {"type": several(arguments.whole_number), "metavar": "B,B,..."},
    "--engines": {
        "type": several(one_of("engine", tuple(engines.ENGINES))),
        "metavar": "NAME,...",
    },
    "--lr": {
        "type": arguments.positive_number,
        "default": cases.LEARNING_RATE,
        "help": "learning rate at batch size 1 (default: %(default)s)",
    },
    "--lr-rules": {
        "type": several(one_of("learning rate rule", tuple(RULES))),
        "default": cases.LR_RULES,
        "metavar": "NAME,...",
        "help": "rules for the rate at other batch sizes, for time to target: "
        f"{', '.join(RULES)} (default: {listed(cases.LR_RULES)})",
    },
    "--target-accuracy": {
        "type": fraction,
        "default": cases.TARGET_ACCURACY,
        "help": "of the test set, that training must reach (default: %(default)s)",
    },
    "--max-epochs": {
        "type": arguments.whole_number,
        "default": cases.MAX_EPOCHS,
        "help": "that a run may take to reach it (default: %(default)s)",
    },
    "--seeds": {
        "type": several(arguments.seed),
        "default": cases.SEEDS,
        "metavar": "N,N,...",
        "help": f"a run to the target each (default: {listed(cases.SEEDS)})",
    },
}

add = partial(arguments.add, options=OPTIONS)
