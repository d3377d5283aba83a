"""Every option, declared once: pytest's, those of the commands, and the tables of docs/options.md.

Options that the trainer shares are declared in `mnist_mlp.arguments`. Nothing here imports torch.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench import cases
from mnist_mlp import arguments, engines
from mnist_mlp.learning_rate import RULES

Value = TypeVar("Value")

FIGURE_KINDS = (".png", ".svg", ".html")
NATIVE_FORMS = ("fastest", "simplest")
SEARCH_SECONDS = 90
FEWEST_WORKERS = 2


def several(parse: Callable[[str], Value]) -> Callable[[str], tuple[Value, ...]]:
    """Parse values separated by commas, each given once."""

    def parse_all(text: str) -> tuple[Value, ...]:
        values = tuple(parse(word.strip()) for word in text.split(","))
        if len(set(values)) < len(values):
            raise argparse.ArgumentTypeError(f"{text!r} names a value twice")
        return values

    return parse_all


def one_of(kind: str, names: Sequence[str]) -> Callable[[str], str]:
    """Parse one of these names, of engines for instance."""

    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no {kind}: choose from {', '.join(names)}"
            )
        return text

    return parse


def at_least(least: int) -> Callable[[str], int]:
    """Parse a whole number that is no smaller."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return parse


def fraction(text: str) -> float:
    """Parse a number above 0 and at most 1: an accuracy."""
    value = arguments.number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a fraction above 0 and at most 1, such as 0.95"
        )
    return value


def folder(text: str) -> Path:
    """Parse a folder that exists."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return Path(text)


def output_file(text: str) -> Path:
    """Parse a file in a folder that exists."""
    file = Path(text)
    if file.is_dir() or not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no file in a folder that exists")
    return file


def figure_file(text: str) -> Path:
    """Parse a file that a figure can be written to."""
    if not text.endswith(FIGURE_KINDS):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no figure: name a file that ends in {', '.join(FIGURE_KINDS)}"
        )
    return output_file(text)


def listed(values: Iterable[object]) -> str:
    """Write values as the command line takes them."""
    return ",".join(map(str, values))


Settings = dict[str, Any]  # keyword arguments of argparse's add_argument, or of pytest's addoption
SHARED = {
    flag: arguments.OPTIONS[flag]
    for flag in ("--threads", "--device", "--data-root", "--cache-dir", "--force")
}
BATCH_SIZES: Settings = {"type": several(arguments.whole_number), "metavar": "B,B,..."}
ENGINES: Settings = {
    "type": several(one_of("engine", tuple(engines.ENGINES))),
    "metavar": "NAME,...",
}
TARGET: Settings = {
    "type": fraction,
    "default": cases.TARGET_ACCURACY,
    "help": "target test accuracy, above 0 and at most 1 (default: %(default)s)",
}
# What a training to the target takes; sweet-spot takes them with --search alone.
TRAINING: dict[str, Settings] = {
    "--lr": {
        "type": arguments.positive_number,
        "default": cases.LEARNING_RATE,
        "help": f"learning rate at batch size 1 (default: {cases.LEARNING_RATE})",
    },
    "--lr-rules": {
        "type": several(one_of("learning rate rule", tuple(RULES))),
        "default": cases.LR_RULES,
        "metavar": "NAME,...",
        "help": "rules for the learning rate at other batch sizes, for time to target: "
        f"{', '.join(RULES)} (default: {listed(cases.LR_RULES)})",
    },
    "--seeds": {
        "type": several(arguments.seed),
        "default": cases.SEEDS,
        "metavar": "N,N,...",
        "help": f"seeds, one training each (default: {listed(cases.SEEDS)})",
    },
    "--max-epochs": {
        "type": arguments.whole_number,
        "default": cases.MAX_EPOCHS,
        "metavar": "N",
        "help": f"most epochs that a training may take (default: {cases.MAX_EPOCHS})",
    },
}
FIGURE: Settings = {
    "type": figure_file,
    "metavar": "FILE",
    "help": "draw time to target against batch size, as .png, .svg or .html",
}


def _with_search(settings: Settings) -> Settings:
    return settings | {
        "default": argparse.SUPPRESS,
        "help": f"with --search: {settings['help']}",
    }


# Command -> option -> settings. "suite" is `pytest --benchmark-only`.
OPTIONS: dict[str, dict[str, Settings]] = {
    "suite": {
        "--batch-sizes": BATCH_SIZES
        | {
            "help": f"samples per step (default: {listed(cases.BATCH_SIZES)}, and for time to "
            f"target {listed(cases.CONVERGENCE_BATCH_SIZES)})"
        },
        "--engines": ENGINES
        | {
            "help": f"ways to train: {', '.join(engines.ENGINES)} (default: those for one process, "
            f"and {listed(cases.CONVERGENCE_ENGINES)} alone for time to target)"
        },
        "--native-form": {
            "choices": NATIVE_FORMS,
            "default": NATIVE_FORMS[0],
            "help": "the form in which native takes a step: the fastest by a trial, or the "
            "simplest, which is the same in every process (default: %(default)s)",
        },
        "--epoch-samples": {
            "type": arguments.whole_number,
            "metavar": "N",
            "help": "samples of the training set that an epoch passes over (default: all)",
        },
        "--workers": {
            "type": several(arguments.whole_number),
            "metavar": "P,P,...",
            "help": "processes that share a batch, each on its part of the cores (default: "
            "powers of two up to the cores, and all of them)",
        },
        **{flag: TRAINING[flag] for flag in ("--lr", "--lr-rules")},
        "--target-accuracy": TARGET,
        **{flag: TRAINING[flag] for flag in ("--max-epochs", "--seeds")},
        **{flag: SHARED[flag] for flag in ("--threads", "--device")},
        "--data-root": SHARED["--data-root"]
        | {
            "type": folder,
            "help": "a data set in torchvision's layout instead of MNIST; write "
            "--data-root=FOLDER, as pytest takes a folder that stands alone for its own",
        },
        **{flag: SHARED[flag] for flag in ("--cache-dir", "--force")},
        "--rerun-disturbed": {
            "type": at_least(0),
            "default": 0,
            "metavar": "N",
            "help": "run a case again at the end, up to N times, if other processes disturbed it; "
            "the least disturbed run is kept (default: %(default)s)",
        },
        "--journal": {
            "type": output_file,
            "metavar": "FILE",
            "help": "keep each case here from the moment it ends (default: a new file in journals/ "
            "beside pytest-benchmark's saved runs)",
        },
        "--resume": {
            "type": Path,
            "metavar": "JOURNAL",
            "help": "go on with the run of this journal: leave out the cases that it holds",
        },
    },
    "sweet-spot": {
        "--engines": ENGINES
        | {
            "default": cases.CONVERGENCE_ENGINES,
            "help": f"ways to train: {', '.join(engines.ENGINES)} "
            f"(default: {listed(cases.CONVERGENCE_ENGINES)})",
        },
        "--target-accuracy": TARGET,
        **{flag: SHARED[flag] for flag in ("--threads", "--device", "--force")},
        "--figure": FIGURE,
        "--search": {
            "action": "store_true",
            "help": "race whole trainings, for other data, targets and learning rates",
        },
        **{flag: _with_search(settings) for flag, settings in TRAINING.items()},
        "--time-limit": _with_search(
            {
                "type": arguments.positive_number,
                "metavar": "SECONDS",
                "help": "of the whole search, compiling and evaluating included "
                f"(default: {SEARCH_SECONDS})",
            }
        ),
        **{flag: SHARED[flag] for flag in ("--data-root", "--cache-dir")},
    },
    "scale": {
        "--workers": {
            "type": at_least(FEWEST_WORKERS),
            "metavar": "P",
            "help": f"processes that share a batch (default: the cores, at least {FEWEST_WORKERS})",
        },
        "--target-accuracy": TARGET,
        "--threads": SHARED["--threads"]
        | {"help": "threads of each worker (default: its part of the cores)"},
        "--crews": {
            "type": at_least(2),  # replicates, for an interval
            "default": 4,
            "metavar": "N",
            "help": "how often the workers are started anew (default: %(default)s)",
        },
        "--figure": FIGURE,
        "--json": {"type": output_file, "metavar": "FILE", "help": "save what was measured"},
        "--cache-dir": SHARED["--cache-dir"],
    },
    "report": {
        "runs": {
            "type": Path,
            "nargs": "*",
            "metavar": "RUN.json",
            "help": "runs that pytest-benchmark saved (default: the newest in .benchmarks/)",
        },
        "--output": {
            "type": Path,
            "default": Path("report.html"),
            "metavar": "FILE",
            "help": "where to write the page (default: %(default)s)",
        },
        "--png": {
            "type": Path,
            "metavar": "DIR",
            "help": "write each figure as a picture, too, to DIR",
        },
    },
    "recover": {
        "journal": {
            "type": Path,
            "metavar": "JOURNAL",
            "help": "such as .benchmarks/journals/NAME.jsonl",
        },
        "--output": {
            "type": output_file,
            "required": True,
            "metavar": "RUN.json",
            "help": "where to write the run, in pytest-benchmark's form",
        },
    },
}
SHORT = {"--output": "-o"}


def add(add_option: Callable[..., object], command: str) -> None:
    """Add the options of a command to argparse's parser or to pytest's."""
    for flag, settings in OPTIONS[command].items():
        short = (SHORT[flag],) if flag in SHORT else ()
        add_option(*short, flag, **settings)


def as_markdown(options: dict[str, Settings]) -> str:
    """Write options as the table that docs/options.md shows: a row per option."""
    rows = [
        f"| `{_written(flag, settings)}` | {_help(settings)} |"
        for flag, settings in options.items()
    ]
    return "\n".join(["| option | meaning |", "| --- | --- |", *rows]) + "\n"


def _written(flag: str, settings: Settings) -> str:
    """Write an option with its value, as --help does."""
    names = f"{SHORT[flag]}, {flag}" if flag in SHORT else flag
    if not flag.startswith("-"):
        return str(settings["metavar"])
    if "choices" in settings:
        return f"{names}=" + "\\|".join(settings["choices"])
    if settings.get("action") == "store_true":
        return names
    return f"{names}={settings.get('metavar', flag.lstrip('-').upper())}"


def _help(settings: Settings) -> str:
    text = str(settings["help"]).replace("%(default)s", str(settings.get("default")))
    return text[:1].upper() + text[1:]
