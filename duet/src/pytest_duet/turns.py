"""Turns of a few milliseconds that versions take at one case, on the same core."""

import math
import random
from collections.abc import Sequence

import numpy as np

from pytest_duet.processes import Process

TURN_SECONDS = 0.002  # timed seconds per turn, unless one unit (a call of the case) takes longer
MOST_TURN_SECONDS = 0.02  # set-up and tear-down included, unless one unit takes longer
LEAST_TURNS = 5  # turns per version; a case that is too long for them is left out
PREFERRED_TURNS = 10  # turns per version where the seconds per case allow them
MOST_SECONDS = 0.2  # limit per version for turns beyond the preferred ones
# Standard errors of the log ratio at which the turns of confirmation and screen end. Processes of
# equal code differ by about 1 % as long as they live, so more turns would only cost time.
PRECISION, COARSE_PRECISION = 0.004, 0.008
WARM_UP_TURNS = 3
# For normal values: the median's standard error over the mean's, and the standard deviation over
# the median absolute deviation.
MEDIAN_FACTOR, DEVIATION_FACTOR = 1.2533, 1.4826


class TooLongError(Exception):
    """A case is too long for the fewest turns, or its clock does not move."""


def take(
    processes: Sequence[Process],
    rng: random.Random,
    *,
    seconds_per_case: float,
    precision: float = PRECISION,
) -> list[list[float]]:
    """Take turns until their log ratio is precise; return seconds per unit, by process and turn."""
    timed, elapsed = _warm_up(processes, rng, seconds_per_case)
    if min(timed) <= 0:
        raise TooLongError("is timed by a clock that does not move")
    needed_seconds = LEAST_TURNS * min(elapsed)  # a case that only one version slows is measured
    if needed_seconds > seconds_per_case:
        enough = math.ceil(10 * needed_seconds) / 10
        raise TooLongError(
            f"takes too long for {LEAST_TURNS} turns: use --seconds-per-case={enough:g} or more"
        )
    units = max(1, min(round(TURN_SECONDS / max(timed)), int(MOST_TURN_SECONDS / max(elapsed))))
    turn_seconds = units * max(elapsed)
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
    """Whether the median log ratio of the last process to the others is precise enough."""
    *others, last = np.log(taken)
    ratios = last - np.mean(others, axis=0)
    deviation = float(np.median(np.abs(ratios - np.median(ratios))))
    return MEDIAN_FACTOR * DEVIATION_FACTOR * deviation <= precision * math.sqrt(len(ratios))


def _warm_up(
    processes: Sequence[Process], rng: random.Random, seconds_per_case: float
) -> tuple[list[float], list[float]]:
    """Return the shortest timed and the shortest elapsed seconds of one unit in each process.

    Elapsed seconds include set-up and tear-down. A first call may load or compile something.
    """
    timed, elapsed = [math.inf for _ in processes], [math.inf for _ in processes]
    for _ in range(WARM_UP_TURNS):
        for index in rng.sample(range(len(processes)), len(processes)):
            answer = processes[index].ask(do="turn", units=1)
            timed[index] = min(timed[index], answer["seconds"])
            elapsed[index] = min(elapsed[index], max(answer["seconds"], answer["passed"]))
        if min(elapsed) > seconds_per_case:
            break  # another turn would take too long
    return timed, elapsed
