"""python -m bench gate: from options to a finished gate, printed."""

import argparse
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import option_types
from bench.gate import IncomparableError, UsageError, comparison, result, revision, saved, verdict
from bench.gate.company import Version
from bench.gate.comparison import compare
from bench.gate.result import ExitCode, Result
from bench.gate.verdict import Evidence
from bench.runs import files
from bench.runs.files import SavedRunError
from mnist_mlp import atomic
from mnist_mlp.atomic import WriteError

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
    saved_runs: dict[str, Any] = {"type": Path, "nargs": "+"}
    runs = "runs that pytest-benchmark saved, in place of --base"
    add("--saved", metavar="BASE.json", help=runs, **saved_runs)
    add("--against", metavar="HEAD.json", help="the head's, to compare with --saved", **saved_runs)
    tree = "the working tree: any folder in a git checkout (default: this one's)"
    add("--tree", type=option_types.folder, metavar="FOLDER", help=tree)
    python = "that has pytest and what the cases import (default: this one)"
    add("--python", default=sys.executable, metavar="PYTHON", help=python)
    base_python = "that the base runs in (default: --python's)"
    add("--base-python", metavar="PYTHON", help=base_python)
    add(
        "--margin",
        type=option_types.percentage,
        default=verdict.MARGIN,
        metavar="SHARE",
        help="a slowdown up to this passes (default: 5%%)",
    )
    threads = "that each version computes with, on as many cores (default: %(default)s)"
    add("--threads", type=_threads, default=1, metavar="N", help=threads)
    add(
        "--seconds-per-case",
        type=option_types.seconds,
        default=comparison.SECONDS_PER_CASE,
        metavar="SECONDS",
        help="the most that a version's turns at a case may take in a pair (default: %(default)s)",
    )
    fresh = "fork processes from one that has imported what both import, or exec each (slower)"
    add("--fresh", choices=("fork", "exec"), default="fork", help=fresh)
    allowed = "pass although the losses are not the base's"
    add("--allow-learning-change", action="store_true", help=allowed)
    written: dict[str, Any] = {"type": option_types.output_file, "metavar": "FILE"}
    add("--json", help="write everything that was measured", **written)
    add("--markdown", help="write a pull request's comment", **written)
    add("arguments", nargs="*", metavar="PYTEST_ARGUMENTS", help="after --: paths, -k, options")


def _threads(text: str) -> int:
    threads, cores = option_types.count(text), len(comparison.usable_cores())
    if threads > cores:
        raise argparse.ArgumentTypeError(
            f"{threads} threads on {cores} cores: ask for {cores} or fewer"
        )
    return threads


def run(options: argparse.Namespace) -> ExitCode:
    """Compare, print the result, and write the files that the options name."""
    try:
        found = _compare_saved(options) if options.saved else _compare_revisions(options)
    except (SavedRunError, UsageError) as error:
        return _refuse(options, f"error: {error}", ExitCode.USAGE)
    except IncomparableError as error:
        return _refuse(options, f"incomparable: {error}", ExitCode.INCOMPARABLE)
    print(result.as_text(found))
    texts = {options.json: result.as_json(found), options.markdown: result.as_markdown(found)}
    return found.exit_code if _written(texts) else found.exit_code or ExitCode.USAGE


def _refuse(options: argparse.Namespace, sentence: str, code: ExitCode) -> ExitCode:
    """Print why there is no result, also where a comment on a pull request would show it."""
    print(sentence, file=sys.stderr)
    _written({options.markdown: f"{sentence}\n"})
    return code


def _written(texts: Mapping[Path | None, str]) -> bool:
    """Write the files that were asked for; print why where one cannot be written."""
    try:
        atomic.write({file: text.encode() for file, text in texts.items() if file})
    except WriteError as error:
        print(f"error: {error}", file=sys.stderr)
        return False
    return True


def _compare_saved(options: argparse.Namespace) -> Result:
    if options.base or options.base_python or not options.against:
        raise UsageError(
            "saved runs are compared with saved runs: --saved BASE.json --against HEAD.json"
        )
    base, head = (
        [files.read(file) for file in given] for given in (options.saved, options.against)
    )
    saved.check_comparable(base, head)
    judgements, seconds = saved.judge(base, head, margin=options.margin)
    return Result(
        base=f"{len(base)} saved runs",
        head=f"{len(head)} saved runs",
        margin=options.margin,
        took_seconds=None,
        setting=base[0].machine,
        evidence=Evidence(screen={}, confirm={}, seconds=seconds),
        judgements=judgements,
    )


def _compare_revisions(options: argparse.Namespace) -> Result:
    if options.against:
        raise UsageError("--against names runs to compare with --saved BASE.json")
    if not options.base and not options.base_python:
        raise UsageError("name what to compare with: --base main, or --base-python")
    checkout = revision.root(options.tree or Path.cwd())
    tree = (options.tree or checkout).resolve()
    with ExitStack() as stack:
        base_tree, base_words = tree, "itself"
        if options.base:
            worktree = stack.enter_context(revision.worktree(checkout, options.base))
            base_tree = worktree / tree.relative_to(checkout)
            base_words = f"{options.base} ({revision.describe(checkout, options.base)})"
        base_python = options.base_python or options.python
        return compare(
            Version(name="base", tree=base_tree, python=base_python),
            Version(name="head", tree=tree, python=options.python),
            arguments=options.arguments or default_arguments(tree),
            words=(base_words, _head_in_words(checkout)),
            margin=options.margin,
            threads=options.threads,
            fresh=options.fresh,
            seconds_per_case=options.seconds_per_case,
            allow_learning_change=options.allow_learning_change,
        )


def _head_in_words(checkout: Path) -> str:
    changed = len(revision.changed_files(checkout))
    if not changed:
        return "the checkout"
    return f"the working tree, changed in {changed} file{'s' * (changed > 1)},"


def default_arguments(tree: Path) -> Sequence[str]:
    """Return pytest's arguments in `[tool.gate]` of the tree's pyproject.toml; none without."""
    file = tree / "pyproject.toml"
    try:
        table = tomllib.loads(file.read_text())["tool"]["gate"]
        arguments = table["arguments"]
    except (FileNotFoundError, KeyError):
        return ()
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
        raise UsageError(f'{file}: [tool.gate] arguments is a list such as ["benchmarks", "-k x"]')
    return arguments
