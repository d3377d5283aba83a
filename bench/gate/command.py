"""python -m bench gate: options to a gate, and what it says."""

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench import cases
from bench.cases import Case
from bench.gate import report, revision, saved, trial, verdict
from bench.gate.duet import Version, WorkerError
from bench.gate.report import ExitCode, Result
from bench.gate.revision import RevisionError
from bench.gate.saved import IncomparableError, SavedRunError
from bench.gate.trial import Duets
from bench.gate.verdict import Evidence
from mnist_mlp import arguments

HELP = "is the working tree slower than a revision?"
DESCRIPTION = """Compare the working tree with a revision: two processes take turns of a few
milliseconds on the same core, what stands out is measured again, and every case gets a verdict."""
EPILOG = """Ends with 0 where every case got a verdict and none is a regression, 1 on a regression,
2 on a command line that makes no sense, 3 where noise hides the answer, 4 where the two can't be
compared, 130 when interrupted."""
LOAD_SECONDS = 0.5  # how long the cores are watched before one is chosen


class UsageError(Exception):
    """A command line that makes no sense."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    commands.add_parser(
        "gate", parents=[parser()], help=HELP, description=DESCRIPTION, epilog=EPILOG
    )


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(add_help=False)
    add = parser.add_argument
    add("--base", metavar="REVISION", help="what the working tree is compared with: main, a tag")
    add(
        "--saved",
        type=Path,
        nargs="+",
        metavar="BASE.json",
        help="runs that pytest-benchmark saved, in place of --base",
    )
    add(
        "--against",
        type=Path,
        nargs="+",
        metavar="HEAD.json",
        help="runs of the head, to compare with --saved",
    )
    add("--base-python", metavar="PYTHON", help="that the base runs in (default: this one)")
    add("--head-python", metavar="PYTHON", help="that the head runs in (default: this one)")
    add(
        "--engines",
        type=arguments.several(arguments.one_of("engine", cases.ENGINES)),
        default=cases.GATE_ENGINES,
        metavar="NAME,...",
        help=f"to compare (default: {','.join(cases.GATE_ENGINES)})",
    )
    add(
        "--margin",
        type=arguments.percentage,
        default=verdict.MARGIN,
        metavar="SHARE",
        help="a slowdown up to this passes (default: 5%%)",
    )
    add(
        "--threads",
        type=arguments.threads,
        default=1,
        metavar="N",
        help="that each version computes with, on as many cores (default: 1)",
    )
    add(
        "--allow-learning-change",
        action="store_true",
        help="pass although the losses are not the base's",
    )
    add("--json", type=output_file, metavar="FILE", help="write everything that was measured")
    add("--markdown", type=output_file, metavar="FILE", help="write a pull request's comment")
    parser.set_defaults(run=run)
    return parser


def output_file(text: str) -> Path:
    """A file in a folder that exists."""
    file = Path(text)
    if file.is_dir() or not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no file in a folder that exists")
    return file


def run(options: argparse.Namespace) -> ExitCode:
    """Compare as the options say, print, and write what was asked for."""
    try:
        result = _compare_saved(options) if options.saved else _compare_revisions(options)
    except (RevisionError, SavedRunError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except (IncomparableError, WorkerError) as error:
        print(f"incomparable: {error}", file=sys.stderr)
        return ExitCode.INCOMPARABLE
    if options.json:
        report.write(options.json, report.as_json(result))
    if options.markdown:
        report.write(options.markdown, report.as_markdown(result))
    print(report.as_text(result))
    return result.exit_code


def _compare_saved(options: argparse.Namespace) -> Result:
    if options.base or options.base_python or options.head_python or not options.against:
        raise UsageError(
            "saved runs are compared with saved runs: --saved BASE.json --against HEAD.json"
        )
    base, head = (
        [saved.read(file) for file in files] for files in (options.saved, options.against)
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


def compare(
    base: Version,
    head: Version,
    *,
    words: tuple[str, str] = ("base", "head"),
    engines: Sequence[str] = cases.GATE_ENGINES,
    margin: float = verdict.MARGIN,
    threads: int = 1,
    allow_learning_change: bool = False,
) -> Result:
    """Run one gate: head against base.

    Raises:
        WorkerError: one of the two cannot be measured at all.

    """
    started = time.monotonic()
    cores = choose_cores(threads)
    with (
        telling() as tell,
        Duets(
            base=base, head=head, threads=threads, cores=cores, rng=random.Random(), tell=tell
        ) as duets,
    ):
        tell("starting two workers of the base and one of the head")
        hellos = duets.start()
        chosen = _cases_of_both(duets, hellos, engines)
        evidence = trial.run(duets, chosen, margin=margin)
    return Result(
        base=words[0],
        head=words[1],
        margin=margin,
        took_seconds=time.monotonic() - started,
        setting={
            "threads": threads,
            "cores": cores,
            "pinned": bool(cores),
            "base_torch": hellos[0]["torch"],
            "head_torch": hellos[1]["torch"],
        },
        evidence=evidence,
        judgements=verdict.judge(
            evidence, margin=margin, allow_learning_change=allow_learning_change
        ),
    )


@contextmanager
def telling() -> Iterator[Callable[[str], object]]:
    """Say how far a gate is: one live line on a terminal, a line each elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: print(text, file=sys.stderr, flush=True)
        return
    # Drawn when told alone: a thread that redraws would disturb what is measured.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda text: live.update(Text(text), refresh=True)


def _cases_of_both(
    duets: Duets, hellos: Sequence[Mapping[str, Any]], engines: Sequence[str]
) -> list[Case]:
    """The cases that both have; those that one lacks are noted as failures."""
    base, head = ([Case(**fields) for fields in hello["cases"]] for hello in hellos)
    either = [case for case in dict.fromkeys([*head, *base]) if case.engine in engines]
    for case in either:
        for missing, name in ((case not in base, "base"), (case not in head, "head")):
            if missing:
                duets.failures[case.name] = f"missing in {name}"
    return [case for case in either if case in base and case in head]


def choose_cores(threads: int) -> list[int]:
    """The least loaded cores, one a thread; none where processes cannot be pinned."""
    if not hasattr(os, "sched_setaffinity"):
        print("this system cannot pin processes to a core: expect wider intervals", file=sys.stderr)
        return []
    load = psutil.cpu_percent(interval=LOAD_SECONDS, percpu=True)
    return sorted(os.sched_getaffinity(0), key=lambda core: load[core])[:threads]
