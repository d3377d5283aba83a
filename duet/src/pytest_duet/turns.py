"""Turns of a few milliseconds that versions take at one case, on the same core."""

import math
import random
from collections.abc import Sequence

import numpy as np

from pytest_duet.processes import Process

TURN_SECONDS = 0.002  # as many units as fit, at least one
MOST_TURN_SECONDS = 0.02  # set-up and tear-down included
LEAST_TURNS = 5  # of each version; a case that is too long for them is left out
PREFERRED_TURNS = 10  # where the seconds per case allow it
MOST_SECONDS = 0.2  # of turns of each version, beyond the preferred ones
# Standard errors of the log ratio of two versions at which turns end. Processes of equal code
# differ by about 1 % as long as they live, so more turns would only cost time.
PRECISION, COARSE_PRECISION = 0.004, 0.008  # to judge a case, and to see whether it needs judging
WARM_UP_TURNS = 3
# A median's standard error is this many times the mean's, and a normal standard deviation this
# many times the median absolute deviation.
OF_MEDIAN, OF_DEVIATION = 1.2533, 1.4826


class TooLongError(Exception):
    """Fewer than five turns fit into the time of a case, or its time cannot be told."""


def take(
    processes: Sequence[Process],
    rng: random.Random,
    *,
    seconds_per_case: float,
    precision: float = PRECISION,
) -> list[list[float]]:
    """Take turns until their log ratios are precise: seconds per unit, by process and turn."""
    timed, passed = _warm_up(processes, rng, seconds_per_case)
    if min(timed) <= 0:
        raise TooLongError("is timed by a clock that does not move")
    needed_seconds = LEAST_TURNS * min(passed)  # what takes long in one version alone is measured
    if needed_seconds > seconds_per_case:
        enough = math.ceil(10 * needed_seconds) / 10
        raise TooLongError(f"is too long to take turns: --seconds-per-case={enough:g} or more")
    units = max(1, min(round(TURN_SECONDS / max(timed)), int(MOST_TURN_SECONDS / max(passed))))
    turn_seconds = units * max(passed)
    fitting = max(LEAST_TURNS, int(seconds_per_case / turn_seconds))
    most = min(fitting, max(PREFERRED_TURNS, round(MOST_SECONDS / turn_seconds)))
    taken: list[list[float]] = [[] for _ in processes]
    for done in range(1, most + 1):
        for index in rng.sample(range(len(processes)), len(processes)):
            taken[index].append(processes[index].ask(do="turn", units=units)["seconds"])
        if done >= PREFERRED_TURNS and is_precise(taken, precision):
            break
    return taken


def is_precise(taken: Sequence[Sequence[float]], precision: float) -> bool:
    """Whether the median log ratio of the last process to the others is known well enough."""
    *others, last = np.log(taken)
    ratios = last - np.mean(others, axis=0)
    deviation = float(np.median(np.abs(ratios - np.median(ratios))))
    return OF_MEDIAN * OF_DEVIATION * deviation <= precision * math.sqrt(len(ratios))


def _warm_up(
    processes: Sequence[Process], rng: random.Random, seconds_per_case: float
) -> tuple[list[float], list[float]]:
    """Return the shortest turn of each process: a first call may load or compile.

    First what was timed, then what passed: in a case with a set-up, that takes longer.
    """
    timed, passed = [math.inf for _ in processes], [math.inf for _ in processes]
    for _ in range(WARM_UP_TURNS):
        for index in rng.sample(range(len(processes)), len(processes)):
            answer = processes[index].ask(do="turn", units=1)
            timed[index] = min(timed[index], answer["seconds"])
            passed[index] = min(passed[index], max(answer["seconds"], answer["passed"]))
        if min(passed) > seconds_per_case:
            break  # far too long: not another turn
    return timed, passed
