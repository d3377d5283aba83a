"""Turns of a few milliseconds that versions take at one case, on the same core."""

import math
import random
from collections.abc import Sequence

from bench.gate.processes import Process

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
    """Seconds per unit of the case that all are ready for: a list per process, a value per turn.

    Raises:
        TooLongError: fewer than five turns fit into the seconds per case, in every version.

    """
    shortest = _warm_up(processes, rng, seconds_per_case)
    needed_seconds = LEAST_TURNS * min(shortest)  # what takes long in one version alone is measured
    if needed_seconds > seconds_per_case:
        enough = math.ceil(10 * needed_seconds) / 10
        raise TooLongError(f"is too long to take turns: --seconds-per-case={enough:g} or more")
    units = max(1, round(TURN_SECONDS / max(shortest)))
    fitting = int(seconds_per_case / (units * max(shortest)))
    wanted = max(FEWEST_TURNS, round(CASE_SECONDS / (units * max(shortest))))
    taken: list[list[float]] = [[] for _ in processes]
    for _ in range(max(LEAST_TURNS, min(wanted, fitting))):
        for index in rng.sample(range(len(processes)), len(processes)):
            taken[index].append(processes[index].ask(do="turn", units=units)["seconds"])
    return taken


def _warm_up(
    processes: Sequence[Process], rng: random.Random, seconds_per_case: float
) -> list[float]:
    """Seconds of each process's shortest turn of some: a first call may load or compile."""
    shortest = [math.inf for _ in processes]
    for _ in range(WARM_UP_TURNS):
        for index in rng.sample(range(len(processes)), len(processes)):
            seconds = processes[index].ask(do="turn", units=1)["seconds"]
            shortest[index] = min(shortest[index], seconds)
        if min(shortest) > seconds_per_case:
            break  # far too long: not another turn
    return shortest
