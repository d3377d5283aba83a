"""Every option, declared once: for pytest, the commands, and the lists in docs/options.md.

Options that the trainer shares are declared in `mnist_mlp.arguments`. Nothing here imports torch.
"""

import argparse
import os
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench import cases
from mnist_mlp import arguments, engines
from mnist_mlp.learning_rate import RULES

Value = TypeVar("Value")

FIGURE_KINDS = (".png", ".svg", ".html")
NATIVE_FORMS = ("fastest", "simplest")
RATES = ("tuned", "fixed", "sqrt", "linear")
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
    """Parse one of the given names, for instance of engines."""

    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not {kind}: choose from {', '.join(names)}"
            )
        return text

    return parse


def at_least(least: int) -> Callable[[str], int]:
    """Parse a whole number of at least `least`."""

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
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder that exists")
    return Path(text)


def obstacle(file: Path) -> str:
    """Return why a file cannot be written; empty if it can, as far as permissions show."""
    if file.is_dir():
        return "it is a folder"
    if not file.parent.is_dir():
        return f"{file.parent} is not a folder that exists"
    is_writable = os.access(file if file.exists() else file.parent, os.W_OK)
    return "" if is_writable else "this user may not write there"


def output_file(text: str) -> Path:
    """Parse a file that can be written."""
    if cause := obstacle(Path(text)):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written: {cause}")
    return Path(text)


def figure_file(text: str) -> Path:
    """Parse a file that a figure can be saved to."""
    if not text.endswith(FIGURE_KINDS):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a figure: name a file that ends in {', '.join(FIGURE_KINDS)}"
        )
    return output_file(text)


def listed(values: Iterable[object]) -> str:
    """Write values as the command line takes them."""
    return ",".join(map(str, values))


Settings = arguments.Option


def valued(parse: Callable[[str], Any], metavar: str, text: str, default: Any = None) -> Settings:
    """Declare an option with a value; a default ends its help."""
    shown = listed(default) if isinstance(default, tuple) else default
    suffix = "" if default is None else f" (default: {shown})"
    return {"type": parse, "metavar": metavar, "default": default, "help": text + suffix}


# Options that the trainer has, too.
SHARED = arguments.OPTIONS
parse_engines = several(one_of("an engine", tuple(engines.ENGINES)))
WAYS_TO_TRAIN = f"ways to train: {', '.join(engines.ENGINES)}"
TARGET = valued(
    fraction,
    "FRACTION",
    "target test accuracy, above 0 and at most 1 "
    f"(default: {cases.TARGET_ACCURACY}, or the task's)",
)
# Options of a training to the target.
TRAINING = {
    "--lr": valued(
        arguments.positive_number,
        "RATE",
        f"learning rate at batch size 1 (default: {cases.LEARNING_RATE}); for your own task, at "
        "its batch size (default: the task's)",
    ),
    "--lr-rules": valued(
        several(one_of("a learning rate rule", tuple(RULES))),
        "NAME,...",
        f"rules for the learning rate at other batch sizes, for time to target: {', '.join(RULES)} "
        f"(default: {listed(cases.LR_RULES)}; for your own task {listed(cases.OWN_TASK_LR_RULES)})",
    ),
    "--seeds": valued(several(arguments.seed), "N,N,...", "one training per seed", cases.SEEDS),
    "--max-epochs": valued(
        arguments.whole_number, "N", "most epochs that a training may take", cases.MAX_EPOCHS
    ),
}
FIGURE = valued(
    figure_file, "FILE", "draw time to target against batch size, as .png, .svg or .html"
)

# Command -> option -> settings. "suite" is `pytest --benchmark-only`.
OPTIONS: dict[str, dict[str, Settings]] = {
    "suite": {
        "--batch-sizes": valued(
            several(arguments.whole_number),
            "B,B,...",
            "samples per step; a size beyond the training set is one batch of all of it "
            f"(default: {listed(cases.BATCH_SIZES)}, and for time to target "
            f"{listed(cases.CONVERGENCE_BATCH_SIZES)}; with --full, or if a file or an engine is "
            f"named, {listed(cases.ALL_BATCH_SIZES)}, and for time to target "
            f"{listed(cases.ALL_CONVERGENCE_BATCH_SIZES)})",
        ),
        "--engines": valued(
            parse_engines,
            "NAME,...",
            f"{WAYS_TO_TRAIN} (default: all for a single process; for time to target only "
            f"{listed(cases.CONVERGENCE_ENGINES)}); if you name an engine, all its epochs are "
            "measured, however long they take",
        ),
        "--full": {
            "action": "store_true",
            "help": "measure everything: all sizes, every seed at every size, and loading, "
            "threads, workers, alignment and, if installed, peers",
        },
        "--native-form": {
            "choices": NATIVE_FORMS,
            "default": NATIVE_FORMS[0],
            "help": "the form in which native takes a step: the fastest by a trial, or the "
            f"simplest, which is the same in every process (default: {NATIVE_FORMS[0]})",
        },
        "--epoch-samples": valued(
            arguments.whole_number,
            "N",
            "samples of the training set that an epoch passes over (default: all)",
        ),
        "--workers": valued(
            several(arguments.whole_number),
            "P,P,...",
            "numbers of processes that share a batch, each on its part of the cores (default: "
            "powers of two up to the number of cores, and that number)",
        ),
        **{flag: TRAINING[flag] for flag in ("--lr", "--lr-rules")},
        "--target-accuracy": TARGET,
        **{flag: TRAINING[flag] for flag in ("--max-epochs", "--seeds")},
        **{flag: SHARED[flag] for flag in ("--threads", "--device", "--task")},
        "--data-root": valued(
            folder,
            "FOLDER",
            "a data set in torchvision's layout instead of MNIST; write "
            "--data-root=FOLDER with the =, since pytest collects tests in a separate FOLDER",
        ),
        **{flag: SHARED[flag] for flag in ("--cache-dir", "--force")},
        "--rerun-disturbed": valued(
            at_least(0),
            "N",
            "run a case again at the end, up to N times, if other processes disturbed it; "
            "the least disturbed run is kept",
            0,
        ),
        "--journal": valued(
            output_file,
            "FILE",
            "file that keeps each case as soon as it ends (default: a new file in journals/ "
            "beside pytest-benchmark's saved runs)",
        ),
        "--resume": valued(
            Path,
            "JOURNAL",
            "resume the run of this journal: skip the cases that it holds",
        ),
    },
    "sweet-spot": {
        "--engines": valued(
            parse_engines,
            "NAME,...",
            f"{WAYS_TO_TRAIN} (default: {listed(cases.CONVERGENCE_ENGINES)} if steps are known, "
            "otherwise eager); name only one if trainings are made",
        ),
        "--target-accuracy": TARGET,
        **{flag: SHARED[flag] for flag in ("--threads", "--device", "--force", "--task")},
        "--rates": valued(
            one_of("a way to choose rates", RATES),
            "NAME",
            "tuned: search the best learning rate at each batch size; fixed, sqrt or linear: scale "
            "the task's own rate, at a fraction of the cost (default: tuned)",
        ),
        "--batch-sizes": valued(
            several(arguments.whole_number),
            "B,B,...",
            "batch sizes to train at (default: the search chooses)",
        ),
        "--seeds": valued(
            at_least(2), "N", "fresh seeds at each of the fastest batch sizes (default: 7)"
        ),
        "--max-epochs": TRAINING["--max-epochs"] | {"default": None},
        "--time-limit": valued(
            arguments.positive_number, "SECONDS", "limit of the whole search (default: none)"
        ),
        "--runs": valued(
            output_file,
            "FILE.jsonl",
            "file that keeps each training as soon as it ends; the search resumes from it "
            "(default: a file in .benchmarks/ named after task and target)",
        ),
        "--figure": FIGURE,
        "--json": valued(output_file, "FILE", "save the results"),
        **{flag: SHARED[flag] for flag in ("--data-root", "--cache-dir")},
    },
    "scale": {
        "--workers": valued(
            at_least(FEWEST_WORKERS),
            "P",
            f"processes that share a batch (default: the cores, at least {FEWEST_WORKERS})",
        ),
        "--target-accuracy": TARGET
        | {
            "help": f"target test accuracy whose steps are known (default: {cases.TARGET_ACCURACY})"
        },
        "--threads": SHARED["--threads"]
        | {"help": "threads of each worker (default: its part of the cores)"},
        # Crews are the replicates of an interval.
        "--crews": valued(at_least(2), "N", "how many times workers are started", 4),
        "--figure": FIGURE,
        "--json": valued(output_file, "FILE", "save the measurements"),
        "--cache-dir": SHARED["--cache-dir"],
    },
    "report": {
        "runs": {
            "type": Path,
            "nargs": "*",
            "metavar": "RUN.json",
            "help": "runs that pytest-benchmark saved (default: the newest in .benchmarks/)",
        },
        "--output": valued(Path, "FILE", "where to write the page", Path("report.html")),
        "--png": valued(Path, "DIR", "also write each figure to DIR, as a picture"),
    },
    "recover": {
        "journal": valued(Path, "JOURNAL", "for instance .benchmarks/journals/NAME.jsonl"),
        "--output": {
            "type": output_file,
            "required": True,
            "metavar": "RUN.json",
            "help": "where to write the run, in pytest-benchmark's form",
        },
    },
    "trainer": arguments.TRAINER,  # python -m mnist_mlp
}
SHORT = {"--output": "-o"}


def add(add_option: Callable[..., object], command: str) -> None:
    """Add the options of a command to argparse's parser or to pytest's."""
    for flag, settings in OPTIONS[command].items():
        short = (SHORT[flag],) if flag in SHORT else ()
        add_option(*short, flag, **settings)


def as_markdown(command: str) -> str:
    """Write a command's options as the list that docs/options.md shows."""
    wrap = textwrap.TextWrapper(
        width=118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    items = [
        f"- `{_written(flag, settings)}`: {_meaning(settings)}"
        for flag, settings in OPTIONS[command].items()
    ]
    return "\n".join(map(wrap.fill, items))


def _written(flag: str, settings: Settings) -> str:
    """Write an option with its value, as --help does."""
    if not flag.startswith("-"):
        return str(settings["metavar"])
    names = f"{SHORT[flag]}, {flag}" if flag in SHORT else flag
    if "choices" in settings:
        return f"{names}=" + "|".join(settings["choices"])
    if settings.get("action") == "store_true":
        return names
    return f"{names}={settings.get('metavar', flag.lstrip('-').upper())}"


def _meaning(settings: Settings) -> str:
    return str(settings["help"]).replace("%(default)s", str(settings.get("default")))
