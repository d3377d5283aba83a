"""From options to a finished gate: the versions, the cores, the measurement, the verdicts."""

import argparse
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import psutil
from rich.console import Console
from rich.live import Live
from rich.text import Text

from pytest_duet import ExitCode, IncomparableError, Options, UsageError, result, trees, verdict
from pytest_duet.measurement import Measurement
from pytest_duet.processes import Launcher
from pytest_duet.result import Result
from pytest_duet.trees import Version
from pytest_duet.units import counted

LOAD_SECONDS = 0.5  # time over which the load of each core is measured


def run(options: argparse.Namespace) -> int:
    """Compare, print the result, write the requested files; return the exit code."""
    try:
        compared = _compare_revisions(options)
    except UsageError as error:
        return _refuse(options, f"error: {error}", ExitCode.USAGE)
    except IncomparableError as error:
        return _refuse(options, f"incomparable: {error}", ExitCode.INCOMPARABLE)
    result.show(result.as_text(compared, is_verbose=options.verbose))
    texts = {
        options.json: result.as_json(compared),
        options.markdown: result.as_markdown(compared, is_verbose=options.verbose),
    }
    is_written = [result.write(file, text) for file, text in texts.items() if file]
    return compared.exit_code if all(is_written) else compared.exit_code or ExitCode.USAGE


def _refuse(options: argparse.Namespace, sentence: str, code: ExitCode) -> ExitCode:
    """Print why there is no result, and write it to the file for the pull request, if any."""
    print(sentence, file=sys.stderr)
    if options.markdown:
        result.write(options.markdown, f"{sentence}\n")
    return code


def _compare_revisions(options: argparse.Namespace) -> Result:
    _check(options)
    python, base_python = (
        str(Path(each).absolute()) if each and Path(each).is_file() else each
        for each in (options.python, options.base_python)
    )
    checkout = trees.root(options.tree or Path.cwd())
    head = Version(name="head", tree=(options.tree or checkout).resolve(), python=python)
    base = replace(head, name="base", python=base_python or python)
    base_name = "itself"
    for argument in options.arguments:
        if argument.startswith(str(head.tree)):
            raise UsageError(
                f"{argument} is a path in the head: write it relative to {head.tree}, so that "
                "each version uses its own"
            )
    with ExitStack() as stack, telling() as tell:
        if options.base:
            base_name = f"{options.base} ({trees.describe(checkout, options.base)})"
            taken = trees.base(checkout, options.base, base, build_command=options.build, tell=tell)
            base = stack.enter_context(taken)
        if options.build:
            tell("building the head")
            head = trees.built_head(checkout, head, options.build)
        return compare(
            base,
            head,
            options.arguments,
            measuring_options(options),
            tell=tell,
            is_built=bool(options.build),
            names=(base_name, _name_of_head(checkout)),
        )


def _check(options: argparse.Namespace) -> None:
    cores = len(usable_cores())
    if options.threads > cores:
        raise UsageError(f"{options.threads} threads on {cores} cores: ask for {cores} or fewer")
    if not options.base and not options.base_python:
        raise UsageError("name what to compare with: --base main, or --base-python")
    if options.build and not options.base:
        raise UsageError("--build builds a revision and the working tree: add --base REVISION")


def measuring_options(options: argparse.Namespace) -> Options:
    """Return the options that decide how a gate measures and judges."""
    return Options(**{field.name: getattr(options, field.name) for field in fields(Options)})


def _name_of_head(checkout: Path) -> str:
    changed = trees.changed_files(checkout)
    return (
        f"the working tree, changed in {counted(changed, 'file')}," if changed else "the checkout"
    )


def compare(
    base: Version,
    head: Version,
    arguments: Sequence[str],
    options: Options,
    *,
    tell: Callable[[str], object],
    is_built: bool = False,
    slowed: Mapping[str, float] = MappingProxyType({}),
    names: tuple[str, str] = ("base", "head"),
) -> Result:
    """Run one gate on the cases that pytest's `arguments` choose.

    `slowed` maps the cases that an audit slows in the head to the share of their time that is
    added. `names` describe base and head in the result.
    """
    started = time.monotonic()
    new_launcher = partial(
        Launcher,
        arguments=arguments,
        threads=options.threads,
        shares_a_server=options.fresh == "fork" and base.python == head.python,
    )
    measurement = Measurement(
        versions=[base, replace(base, name="control"), head],
        seconds_per_case=options.seconds_per_case,
        rng=random.Random(),
        tell=tell,
        is_built=is_built,
        until=started + 60 * options.minutes if options.minutes else math.inf,
        slowed=slowed,
    )
    with new_launcher() as launcher:
        measurement.rehearse(launcher)
    measurement.cores = choose_cores(options.threads)
    collections = measurement.collections
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
    # No automatic refresh: a thread that redraws the line would disturb the measurement.
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
