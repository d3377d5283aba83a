"""Turns of a few milliseconds that versions take at one case, on the same core."""

import random
from collections.abc import Sequence

from bench.gate.company import Process

TURN_SECONDS = 0.002  # as many units as fit, one at the least
CASE_SECONDS = 0.2  # of turns, a version
FEWEST_TURNS = 20  # where a case's time allows it,
LEAST_TURNS = 5  # and where it does not
WARM_UP_TURNS = 3


class TooLongError(Exception):
    """A case whose unit takes longer than its time allows."""


def take(
    processes: Sequence[Process], rng: random.Random, *, seconds_per_case: float
) -> list[list[float]]:
    """Seconds a unit of the case that all are ready for, a list a process: one value a turn.

    Args:
        processes: one of each version.
        rng: draws the order of each round, those of the warm-up included.
        seconds_per_case: the most that a version's turns may take together.

    Raises:
        TooLongError: fewer than five turns fit.
        WorkerError: a process died.

    """
    for _ in range(WARM_UP_TURNS):
        slowest_seconds = 0.0
        for process in rng.sample(processes, len(processes)):
            seconds = process.ask(do="turn", units=1)["seconds"]
            _check(seconds, seconds_per_case)
            slowest_seconds = max(slowest_seconds, seconds)
    units = max(1, round(TURN_SECONDS / slowest_seconds))
    fitting = int(seconds_per_case / (units * slowest_seconds))
    wanted = max(FEWEST_TURNS, round(CASE_SECONDS / (units * slowest_seconds)))
    taken: list[list[float]] = [[] for _ in processes]
    for _ in range(max(LEAST_TURNS, min(wanted, fitting))):
        for index in rng.sample(range(len(processes)), len(processes)):
            taken[index].append(processes[index].ask(do="turn", units=units)["seconds"])
    return taken


def _check(seconds: float, seconds_per_case: float) -> None:
    if seconds * LEAST_TURNS > seconds_per_case:
        needed = seconds * LEAST_TURNS
        raise TooLongError(f"is too long to take turns: --seconds-per-case={needed:.2g} or more")
