"""The command pytest-duet: its options, and their defaults in pyproject.toml.

Modules that take long to import are imported only when a gate runs, so that --help is quick.
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
SIGNALS = ("SIGTERM", "SIGHUP")  # a cancelled CI job, a closed terminal
DESCRIPTION = """Compare the working tree with a revision. Both versions run the benchmark cases
that pytest collects, in turns of a few milliseconds on the same core. Cases that look different are
measured again, and every case gets a verdict. PYTEST_ARGUMENTS, after --, choose the cases as they
do for pytest. [tool.pytest-duet] in the tree's pyproject.toml may set any option, and arguments."""
EPILOG = """Exit codes: 0, every case was judged and none is a regression; 1, a regression; 2, an
invalid command line; 3, noise could hide a regression; 4, the versions cannot be compared; 5, not
all cases were judged within --minutes; 70, a fault of pytest-duet itself; 130, interrupted."""


def new_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="pytest-duet", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False
    )
    add = parser.add_argument
    add("--base", metavar="REVISION", help="branch, tag or commit to compare with")
    tree = "the working tree, or a folder in it (default: that of the nearest pyproject.toml)"
    add("--tree", type=folder, metavar="FOLDER", help=tree)
    build = """shell command to run in each version's tree before its cases are collected; {tree},
    {python} and {target}, a folder that is imported from first, are filled in"""
    add("--build", metavar="COMMAND", help=build)
    python = "interpreter that has pytest and what the cases import (default: this one)"
    add("--python", default=sys.executable, metavar="PYTHON", help=python)
    base_python = "interpreter of the base (default: that of --python)"
    add("--base-python", metavar="PYTHON", help=base_python)
    margin = "slowdown that passes; a larger one may fail (default: 5%%)"
    add("--margin", type=share, default=Options.margin, metavar="SHARE", help=margin)
    minutes = "time limit; cases whose test or fixtures differ come first (default: none)"
    add("--minutes", type=above_zero, metavar="MINUTES", help=minutes)
    threads = "threads per version, on as many cores (default: %(default)s)"
    add("--threads", type=count, default=Options.threads, metavar="N", help=threads)
    add(
        "--seconds-per-case",
        type=above_zero,
        default=Options.seconds_per_case,
        metavar="SECONDS",
        help="limit of a version's turns at a case in one pair (default: %(default)s)",
    )
    fresh = """fork processes from one server that has imported what both versions import, or start
    each from its beginning, which is slower (default: %(default)s)"""
    add("--fresh", choices=("fork", "exec"), default=Options.fresh, help=fresh)
    allowed = "let a case pass although its losses differ from the base's"
    add("--allow-learning-change", action="store_true", help=allowed)
    add("-v", "--verbose", action="store_true", help="list the cases that are ok, too")
    everything, comment = "write all measurements", "write a comment for a pull request"
    add("--json", type=output_file, metavar="FILE", help=everything)
    add("--markdown", type=output_file, metavar="FILE", help=comment)
    add("arguments", nargs="*", metavar="PYTEST_ARGUMENTS", help="after --: paths, -k, options")
    return parser


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; missing options come from the tree's pyproject.toml."""
    parser = new_parser()
    options = parser.parse_args(words)
    file = _settings_file(options.tree or Path.cwd())
    settings = read_settings(file) if file else {}
    arguments = settings.pop("arguments", [])
    if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
        raise UsageError(f'{file}: {SETTINGS} arguments must be a list, such as ["-k", "fast"]')
    chosen = options.arguments or arguments
    # The settings come before the words of the command line, which override them.
    options = parser.parse_args([*_as_words(settings), *words])
    options.arguments = chosen
    options.tree = options.tree or (file.parent if file else None)
    return options


def _settings_file(tree: Path) -> Path | None:
    """Find pyproject.toml in a tree, or in the nearest folder above it in its checkout."""
    for place in (tree.resolve(), *tree.resolve().parents):
        if (place / "pyproject.toml").is_file():
            return place / "pyproject.toml"
        if (place / ".git").exists():
            break
    return None


def read_settings(file: Path) -> dict[str, object]:
    """Return the table [tool.pytest-duet] of a pyproject.toml; empty if there is none."""
    try:
        settings = tomllib.loads(file.read_text()).get("tool", {}).get("pytest-duet", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise UsageError(f"{file}: {SETTINGS} must be a table")
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
        from pytest_duet import comparison  # noqa: PLC0415 - importing SciPy takes half a second

        return int(comparison.run(options))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USAGE


def interruptible(command: Callable[[Sequence[str]], int]) -> int:
    """Run a command on this process's arguments; Ctrl-C, SIGTERM and SIGHUP let it clean up."""
    for name in SIGNALS:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
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
