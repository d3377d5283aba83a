"""Two versions to a finished gate: cores, what both collect, the trial, the verdicts."""

import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import psutil
from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.gate import collection, verdict
from bench.gate.company import Company, Setting, Version
from bench.gate.result import Result
from bench.gate.trial import Trial

LOAD_SECONDS = 0.5  # how long the cores are watched before one is chosen
SECONDS_PER_CASE = 1.0


def compare(
    base: Version,
    head: Version,
    *,
    arguments: Sequence[str],
    words: tuple[str, str] = ("base", "head"),
    margin: float = verdict.MARGIN,
    threads: int = 1,
    fresh: str = "fork",
    seconds_per_case: float = SECONDS_PER_CASE,
    allow_learning_change: bool = False,
) -> Result:
    """Run one gate: head against base.

    Raises:
        WorkerError: one of the two cannot be measured at all.

    """
    started = time.monotonic()
    versions = [base, replace(base, name="control"), head]
    shares_a_server = fresh == "fork" and base.python == head.python
    new_company = partial(
        Company,
        setting=Setting(arguments=arguments, threads=threads),
        shares_a_server=shares_a_server,
    )
    cores, rng = choose_cores(threads), random.Random()
    with telling() as tell, new_company() as company:
        tell("collecting the cases of base and head")
        with company.fresh([base, head], rng) as processes:
            found = [
                collection.describe(process, version)
                for process, version in zip(processes, (base, head), strict=True)
            ]
        collection.check_apart(*found)
        trial = Trial(
            versions=versions,
            new_company=partial(new_company, common=collection.common_modules(found)),
            rehearsing=company,
            families=collection.cases_of_both(*found),
            failures=collection.cases_of_one(*found),
            seconds_per_case=seconds_per_case,
            cores=cores,
            rng=rng,
            tell=tell,
        )
        evidence = trial.run(margin=margin)
    judgements = verdict.judge(evidence, margin=margin, allow_learning_change=allow_learning_change)
    return Result(
        base=words[0],
        head=words[1],
        margin=margin,
        took_seconds=time.monotonic() - started,
        setting={
            "arguments": list(arguments),
            "threads": threads,
            "cores": cores,
            "fresh": fresh,
            "base_versions": dict(found[0].versions),
            "head_versions": dict(found[1].versions),
        },
        evidence=evidence,
        judgements=judgements,
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
    load = psutil.cpu_percent(interval=LOAD_SECONDS, percpu=True)
    return sorted(os.sched_getaffinity(0), key=lambda core: load[core])[:threads]
