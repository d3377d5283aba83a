"""python -m bench gate: from options to a finished gate, printed."""

import argparse
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from bench import cases, command_line, output
from bench.gate import result, revision, saved, verdict
from bench.gate.comparison import compare
from bench.gate.duet import Version, WorkerError
from bench.gate.result import ExitCode, Result
from bench.gate.revision import RevisionError
from bench.gate.saved import IncomparableError
from bench.gate.verdict import Evidence
from bench.output import OutputError
from bench.runs import files
from bench.runs.files import SavedRunError

DESCRIPTION = """Compare the working tree with a revision: two processes take turns of a few
milliseconds on the same core, cases that look different are measured again, and every case gets a
verdict."""
EPILOG = """Ends with 0 where every case got a verdict and none is a regression, 1 on a regression,
2 on a command line that makes no sense, 3 where noise hides the answer, 4 where the two can't be
compared, 130 when interrupted."""


class UsageError(Exception):
    """A command line that makes no sense."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add, shared = parser.add_argument, partial(command_line.add, parser.add_argument)
    add("--base", metavar="REVISION", help="what the working tree is compared with: main, a tag")
    saved_runs: dict[str, Any] = {"type": Path, "nargs": "+"}
    runs = "runs that pytest-benchmark saved, in place of --base"
    add("--saved", metavar="BASE.json", help=runs, **saved_runs)
    add("--against", metavar="HEAD.json", help="the head's, to compare with --saved", **saved_runs)
    for side in ("base", "head"):
        python = f"that the {side} runs in (default: this one)"
        add(f"--{side}-python", metavar="PYTHON", help=python)
    engines = f"to compare (default: {command_line.listed(cases.GATE_ENGINES)})"
    shared("--engines", default=cases.GATE_ENGINES, help=engines)
    add(
        "--margin",
        type=command_line.percentage,
        default=verdict.MARGIN,
        metavar="SHARE",
        help="a slowdown up to this passes (default: 5%%)",
    )
    threads = "that each version computes with, on as many cores (default: %(default)s)"
    shared("--threads", default=1, metavar="N", help=threads)
    allowed = "pass although the losses are not the base's"
    add("--allow-learning-change", action="store_true", help=allowed)
    written: dict[str, Any] = {"type": command_line.output_file, "metavar": "FILE"}
    add("--json", help="write everything that was measured", **written)
    add("--markdown", help="write a pull request's comment", **written)


def run(options: argparse.Namespace) -> ExitCode:
    """Compare, print the result, and write the files that the options name."""
    try:
        found = _compare_saved(options) if options.saved else _compare_revisions(options)
    except (RevisionError, SavedRunError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except (IncomparableError, WorkerError) as error:
        print(f"incomparable: {error}", file=sys.stderr)
        return ExitCode.INCOMPARABLE
    print(result.as_text(found))
    texts = {options.json: result.as_json(found), options.markdown: result.as_markdown(found)}
    try:
        output.write({file: text.encode() for file, text in texts.items() if file})
    except OutputError as error:
        print(f"error: {error}", file=sys.stderr)
        return found.exit_code or ExitCode.USAGE
    return found.exit_code


def _compare_saved(options: argparse.Namespace) -> Result:
    if options.base or options.base_python or options.head_python or not options.against:
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
    checkout = revision.root(Path(__file__).parent)
    other_python = options.base_python or options.head_python
    if options.against:
        raise UsageError("--against names runs to compare with --saved BASE.json")
    if not options.base and not other_python:
        raise UsageError(
            "name what to compare with: --base main, or --base-python or --head-python"
        )
    head = Version(name="head", tree=checkout, python=options.head_python or sys.executable)
    changed = len(revision.changed_files(checkout))
    head_words = (
        f"the working tree, changed in {changed} file{'s' * (changed > 1)},"
        if changed
        else "the checkout"
    )
    with ExitStack() as stack:
        tree, base_words = checkout, "itself"
        if options.base:
            tree = stack.enter_context(revision.worktree(checkout, options.base))
            base_words = f"{options.base} ({revision.describe(checkout, options.base)})"
        base = Version(name="base", tree=tree, python=options.base_python or sys.executable)
        return compare(
            base,
            head,
            words=(base_words, head_words),
            engines=options.engines,
            margin=options.margin,
            threads=options.threads,
            allow_learning_change=options.allow_learning_change,
        )
