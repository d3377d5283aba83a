"""The command pytest-duet: its options, and where their defaults are kept.

What takes long to import is imported when a gate runs, so that --help is quick.
"""

import argparse
import signal
import sys
import tomllib
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_duet import ExitCode, Options, UsageError
from pytest_duet.option_types import above_zero, count, folder, output_file, share

SETTINGS = "[tool.pytest-duet]"
SIGNALS = ("SIGTERM", "SIGHUP")  # from CI that cancels a job, a terminal that closes
DESCRIPTION = """Compare the working tree with a revision: the benchmark cases that pytest collects
in both take turns of a few milliseconds on the same core, cases that look different are measured
again, and every case gets a verdict. PYTEST_ARGUMENTS, after --, choose the cases as they would for
pytest. [tool.pytest-duet] in the tree's pyproject.toml may hold any of the options by name, and the
arguments."""
EPILOG = """Exit codes: 0, every case was judged and none is a regression; 1, a regression; 2, a
command line that makes no sense; 3, noise hides the answer; 4, the versions cannot be compared; 5,
not all cases were judged within --minutes; 130, interrupted."""


def new_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="pytest-duet", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False
    )
    add = parser.add_argument
    add("--base", metavar="REVISION", help="what the working tree is compared with: main, a tag")
    tree = "the working tree: any folder in a git checkout (default: this project's)"
    add("--tree", type=folder, metavar="FOLDER", help=tree)
    build = """run in each version's tree before its cases are collected; {tree}, {python} and
    {target}, a folder that is imported from first, are filled in"""
    add("--build", metavar="COMMAND", help=build)
    python = "that has pytest and what the cases import (default: this one)"
    add("--python", default=sys.executable, metavar="PYTHON", help=python)
    base_python = "that the base runs in (default: --python's)"
    add("--base-python", metavar="PYTHON", help=base_python)
    margin = "a slowdown up to this passes (default: 5%%)"
    add("--margin", type=share, default=Options.margin, metavar="SHARE", help=margin)
    minutes = "judge what can be judged in so many minutes, changed cases first"
    add("--minutes", type=above_zero, metavar="MINUTES", help=minutes)
    threads = "that each version computes with, on as many cores (default: %(default)s)"
    add("--threads", type=count, default=Options.threads, metavar="N", help=threads)
    add(
        "--seconds-per-case",
        type=above_zero,
        default=Options.seconds_per_case,
        metavar="SECONDS",
        help="the most that a version's turns at a case may take in a pair (default: %(default)s)",
    )
    fresh = "fork processes from one that has imported what both import, or exec each (slower)"
    add("--fresh", choices=("fork", "exec"), default=Options.fresh, help=fresh)
    allowed = "pass although the losses are not the base's"
    add("--allow-learning-change", action="store_true", help=allowed)
    add("-v", "--verbose", action="store_true", help="list the cases that are ok, too")
    everything, comment = "write everything that was measured", "write a pull request's comment"
    add("--json", type=output_file, metavar="FILE", help=everything)
    add("--markdown", type=output_file, metavar="FILE", help=comment)
    add("arguments", nargs="*", metavar="PYTEST_ARGUMENTS", help="after --: paths, -k, options")
    return parser


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; options that it lacks come from the tree's pyproject.toml."""
    parser = new_parser()
    options = parser.parse_args(words)
    file = _settings_file(options.tree or Path.cwd())
    settings = read_settings(file) if file else {}
    arguments = settings.pop("arguments", [])
    if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
        raise UsageError(f'{file}: {SETTINGS} arguments is a list such as ["benchmarks", "-k x"]')
    chosen = options.arguments or arguments
    # As words before those of the command line, which win.
    options = parser.parse_args([*_as_words(settings), *words])
    options.arguments = chosen
    options.tree = options.tree or (file.parent if file else None)
    return options


def _settings_file(tree: Path) -> Path | None:
    """Find the pyproject.toml of a tree: in it, or in the nearest folder of its checkout above."""
    for place in (tree.resolve(), *tree.resolve().parents):
        if (place / "pyproject.toml").is_file():
            return place / "pyproject.toml"
        if (place / ".git").exists():
            break
    return None


def read_settings(file: Path) -> dict[str, object]:
    """Return the table [tool.pytest-duet] of a pyproject.toml; nothing where there is none."""
    try:
        settings = tomllib.loads(file.read_text()).get("tool", {}).get("pytest-duet", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise UsageError(f"{file}: {SETTINGS} is not a table")
    return settings


def _as_words(settings: dict[str, object]) -> list[str]:
    words = []
    for name, value in settings.items():
        if value is True:
            words.append(f"--{name}")
        elif value is not False:
            words.append(f"--{name}={value}")
    return words


def main(words: Sequence[str]) -> int:
    """Run a gate; return the exit code."""
    try:
        options = parse(words)
        from pytest_duet import comparison  # noqa: PLC0415 - it imports SciPy, for half a second

        return int(comparison.run(options))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USAGE


def interruptible(command: Callable[[Sequence[str]], int]) -> int:
    """Run a command on the given words; let it clean up after Ctrl-C, SIGTERM and SIGHUP."""
    for name in SIGNALS:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)
    try:
        return command(sys.argv[1:])
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except Exception:  # noqa: BLE001 - a fault of ours must not look like a regression
        traceback.print_exc()
        return ExitCode.INTERNAL_ERROR


def run() -> int:
    """Run the command pytest-duet."""
    return interruptible(main)
