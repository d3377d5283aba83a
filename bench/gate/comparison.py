"""Two versions to a finished gate: cores, workers, the cases that both have."""

import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psutil
from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench import cases
from bench.cases import Case
from bench.gate import trial, verdict
from bench.gate.duet import Version
from bench.gate.result import Result
from bench.gate.trial import Duets

LOAD_SECONDS = 0.5  # how long the cores are watched before one is chosen


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
    """Show how far a gate is: one live line on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: print(text, file=sys.stderr, flush=True)
        return
    # It draws only when something changes: a thread that redraws would disturb the measurement.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda text: live.update(Text(text), refresh=True)


def _cases_of_both(
    duets: Duets, hellos: Sequence[Mapping[str, Any]], engines: Sequence[str]
) -> list[Case]:
    """Return the cases that both have, and note those that one side lacks as failures."""
    base, head = ([Case(**fields) for fields in hello["cases"]] for hello in hellos)
    either = [case for case in dict.fromkeys([*head, *base]) if case.engine in engines]
    for case in either:
        for missing, name in ((case not in base, "base"), (case not in head, "head")):
            if missing:
                duets.failures[case.name] = f"missing in {name}"
    return [case for case in either if case in base and case in head]


def choose_cores(threads: int) -> list[int]:
    """Choose the least loaded cores, one for each thread; none where processes cannot be pinned."""
    if not hasattr(os, "sched_setaffinity"):
        print("this system cannot pin processes to a core: expect wider intervals", file=sys.stderr)
        return []
    load = psutil.cpu_percent(interval=LOAD_SECONDS, percpu=True)
    return sorted(os.sched_getaffinity(0), key=lambda core: load[core])[:threads]
