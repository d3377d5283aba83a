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
from bench.gate.collection import Collection
from bench.gate.company import Company, Version
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
    """Run one gate: head against base."""
    started, cores = time.monotonic(), choose_cores(threads)
    new_company = partial(
        Company,
        arguments=arguments,
        threads=threads,
        shares_a_server=fresh == "fork" and base.python == head.python,
    )
    with telling() as tell:
        trial = Trial(
            versions=[base, replace(base, name="control"), head],
            seconds_per_case=seconds_per_case,
            cores=cores,
            rng=random.Random(),
            tell=tell,
        )
        found = _rehearse(trial, new_company)
        common = collection.common_modules(*found)
        evidence = trial.run(partial(new_company, common=common), margin=margin)
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


def _rehearse(trial: Trial, new_company: Callable[[], Company]) -> list[Collection]:
    """Collect in both versions, and run each case once."""
    base, _, head = trial.versions
    trial.tell("collecting the cases of base and head")
    with new_company() as company, company.fresh((base, head), trial.rng) as processes:
        found = collection.of_each(processes, (base, head))
        collection.check_apart(*found)
        trial.families, trial.failures = collection.cases(*found)
        if trial.rehearse(company, processes):
            # What the cases import when they run is known now, too.
            found = collection.of_each(processes, (base, head))
    return found


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
