"""python -m bench gate: its options. What takes long to import, is imported when it runs."""

import argparse
import math
import sys
from pathlib import Path

from bench.gate import Options

DESCRIPTION = """Compare the working tree with a revision: the benchmark cases that pytest collects
in both take turns of a few milliseconds on the same core, cases that look different are measured
again, and every case gets a verdict. PYTEST_ARGUMENTS, after --, choose the cases as they would for
pytest; without them, [tool.gate] in pyproject.toml may hold some."""
EPILOG = """Ends with 0 where every case got a verdict and none is a regression, 1 on a regression,
2 on a command line that makes no sense, 3 where noise hides the answer, 4 where the two can't be
compared, 130 when interrupted."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add = parser.add_argument
    add("--base", metavar="REVISION", help="what the working tree is compared with: main, a tag")
    base_runs = "runs that pytest-benchmark saved, in place of --base"
    add("--saved", type=Path, nargs="+", metavar="BASE.json", help=base_runs)
    head_runs = "the head's, to compare with --saved"
    add("--against", type=Path, nargs="+", metavar="HEAD.json", help=head_runs)
    tree = "the working tree: any folder in a git checkout (default: this one's)"
    add("--tree", type=folder, metavar="FOLDER", help=tree)
    python = "that has pytest and what the cases import (default: this one)"
    add("--python", default=sys.executable, metavar="PYTHON", help=python)
    base_python = "that the base runs in (default: --python's)"
    add("--base-python", metavar="PYTHON", help=base_python)
    margin = "a slowdown up to this passes (default: 5%%)"
    add("--margin", type=share, default=Options.margin, metavar="SHARE", help=margin)
    threads = "that each version computes with, on as many cores (default: %(default)s)"
    add("--threads", type=count, default=Options.threads, metavar="N", help=threads)
    add(
        "--seconds-per-case",
        type=seconds,
        default=Options.seconds_per_case,
        metavar="SECONDS",
        help="the most that a version's turns at a case may take in a pair (default: %(default)s)",
    )
    fresh = "fork processes from one that has imported what both import, or exec each (slower)"
    add("--fresh", choices=("fork", "exec"), default=Options.fresh, help=fresh)
    allowed = "pass although the losses are not the base's"
    add("--allow-learning-change", action="store_true", help=allowed)
    everything, comment = "write everything that was measured", "write a pull request's comment"
    add("--json", type=output_file, metavar="FILE", help=everything)
    add("--markdown", type=output_file, metavar="FILE", help=comment)
    add("arguments", nargs="*", metavar="PYTEST_ARGUMENTS", help="after --: paths, -k, options")


def run(options: argparse.Namespace) -> int:
    """Compare, print the result, and write the files that the options name."""
    from bench.gate import comparison  # noqa: PLC0415 - it imports SciPy, which `--help` need not

    return comparison.run(options)


def count(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def share(text: str) -> float:
    """Parse a share above 0 and at most 1, written as 5% or 0.05."""
    value = _number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 5% or 0.05")
    return value


def seconds(text: str) -> float:
    """Parse a time above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


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
