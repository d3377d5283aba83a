"""From options to a finished gate: the versions, the cores, the measurement, the verdicts."""

import argparse
import os
import random
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.gate import IncomparableError, Options, UsageError, result, revision, saved, verdict
from bench.gate.measurement import Measurement
from bench.gate.processes import Launcher, Version
from bench.gate.result import ExitCode, Result
from bench.units import counted

LOAD_SECONDS = 0.5  # how long the cores are watched before one is chosen


def run(options: argparse.Namespace) -> ExitCode:
    """Compare, print the result, and write the files that the options name."""
    try:
        compared = _compare_saved(options) if options.saved else _compare_revisions(options)
    except UsageError as error:
        return _refuse(options, f"error: {error}", ExitCode.USAGE)
    except IncomparableError as error:
        return _refuse(options, f"incomparable: {error}", ExitCode.INCOMPARABLE)
    result.show(result.as_text(compared))
    texts = {options.json: result.as_json(compared), options.markdown: result.as_markdown(compared)}
    is_written = [result.write(file, text) for file, text in texts.items() if file]
    return compared.exit_code if all(is_written) else compared.exit_code or ExitCode.USAGE


def _refuse(options: argparse.Namespace, sentence: str, code: ExitCode) -> ExitCode:
    """Print why there is no result, also where a comment on a pull request would show it."""
    print(sentence, file=sys.stderr)
    if options.markdown:
        result.write(options.markdown, f"{sentence}\n")
    return code


def _compare_saved(options: argparse.Namespace) -> Result:
    if options.base or options.base_python or not options.against:
        raise UsageError(
            "saved runs are compared with saved runs: --saved BASE.json --against HEAD.json"
        )
    return saved.compare(options.saved, options.against, margin=options.margin)


def _compare_revisions(options: argparse.Namespace) -> Result:
    cores = len(usable_cores())
    if options.threads > cores:
        raise UsageError(f"{options.threads} threads on {cores} cores: ask for {cores} or fewer")
    if options.against:
        raise UsageError("--against names runs to compare with --saved BASE.json")
    if not options.base and not options.base_python:
        raise UsageError("name what to compare with: --base main, or --base-python")
    checkout = revision.root(options.tree or Path.cwd())
    tree = (options.tree or checkout).resolve()
    with ExitStack() as stack:
        base_tree, base_name = tree, "itself"
        if options.base:
            worktree = stack.enter_context(revision.worktree(checkout, options.base))
            base_tree = worktree / tree.relative_to(checkout)
            base_name = f"{options.base} ({revision.describe(checkout, options.base)})"
        base_python = options.base_python or options.python
        return compare(
            Version(name="base", tree=base_tree, python=base_python),
            Version(name="head", tree=tree, python=options.python),
            options.arguments or default_arguments(tree),
            Options(**{field.name: getattr(options, field.name) for field in fields(Options)}),
            names=(base_name, _name_of_head(checkout)),
        )


def _name_of_head(checkout: Path) -> str:
    changed = revision.changed_files(checkout)
    return (
        f"the working tree, changed in {counted(changed, 'file')}," if changed else "the checkout"
    )


def default_arguments(tree: Path) -> Sequence[str]:
    """Return pytest's arguments in `[tool.gate]` of the tree's pyproject.toml; none without."""
    file = tree / "pyproject.toml"
    try:
        arguments = tomllib.loads(file.read_text())["tool"]["gate"]["arguments"]
    except (FileNotFoundError, KeyError):
        return ()
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
        raise UsageError(f'{file}: [tool.gate] arguments is a list such as ["benchmarks", "-k x"]')
    return arguments


def compare(
    base: Version,
    head: Version,
    arguments: Sequence[str],
    options: Options,
    *,
    names: tuple[str, str] = ("base", "head"),
) -> Result:
    """Run one gate: head against base, on the cases that pytest's arguments choose."""
    started = time.monotonic()
    new_launcher = partial(
        Launcher,
        arguments=arguments,
        threads=options.threads,
        shares_a_server=options.fresh == "fork" and base.python == head.python,
    )
    with telling() as tell:
        measurement = Measurement(
            versions=[base, replace(base, name="control"), head],
            seconds_per_case=options.seconds_per_case,
            rng=random.Random(),
            tell=tell,
        )
        with new_launcher() as launcher:
            collections = measurement.rehearse(launcher)
        measurement.cores = choose_cores(options.threads)
        common = collections[0].modules_shared_with(collections[1])
        evidence = measurement.run(partial(new_launcher, common=common), margin=options.margin)
    return Result(
        base=names[0],
        head=names[1],
        margin=options.margin,
        took_seconds=time.monotonic() - started,
        setting={
            "arguments": list(arguments),
            "threads": options.threads,
            "cores": measurement.cores,
            "fresh": options.fresh,
            "base_versions": dict(collections[0].versions),
            "head_versions": dict(collections[1].versions),
        },
        evidence=evidence,
        judgements=verdict.judge(
            evidence,
            margin=options.margin,
            allow_learning_change=options.allow_learning_change,
        ),
    )


@contextmanager
def telling() -> Iterator[Callable[[str], object]]:
    """Show how far a gate is: one live line on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: print(text, file=sys.stderr, flush=True)
        return
    # It draws only when something changes: a thread that redraws would disturb the measurement.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda text: live.update(Text(text), refresh=True)


def choose_cores(threads: int) -> list[int]:
    """Choose the least loaded cores, one for each thread; none where processes cannot be pinned."""
    if not hasattr(os, "sched_setaffinity"):
        print("this system cannot pin processes to a core: expect wider intervals", file=sys.stderr)
        return []
    load = dict(enumerate(psutil.cpu_percent(interval=LOAD_SECONDS, percpu=True)))
    return sorted(usable_cores(), key=lambda core: load.get(core, 0.0))[:threads]


def usable_cores() -> list[int]:
    """Return the cores that this process may use."""
    can_pin = hasattr(os, "sched_getaffinity")
    return sorted(os.sched_getaffinity(0)) if can_pin else list(range(os.cpu_count() or 1))
