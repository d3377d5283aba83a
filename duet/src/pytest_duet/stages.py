"""The stages of a gate: a screen of every case, then a confirmation of those it leaves open."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial

from pytest_duet import pair_tests, turns, verdict
from pytest_duet.pair_tests import Pair, Pairs
from pytest_duet.units import counted, duration
from pytest_duet.verdict import Evidence

ATTEMPTS = 2  # one repeat, decided in advance, if two copies of the base differ
SCREENING_SHARE = 0.7  # share of the time limit that the screen gets

# Takes case names, until= (by time.monotonic) and precision=; returns a pair of each case that
# could be measured.
TakePairs = Callable[..., Mapping[str, Pair]]
Stage = Callable[[], AbstractContextManager[TakePairs]]  # shares no process with another stage
Tell = Callable[[str], object]


def run(
    new_stage: Stage, families: Mapping[str, str], *, margin: float, until: float, tell: Tell
) -> Evidence:
    """Measure every case and family until its speed can be judged.

    If two copies of the base differ, both stages are repeated once, if there is time.
    """
    for _ in range(ATTEMPTS):
        with new_stage() as measure:
            screened = screen(measure, families, until=until, tell=tell)
        left_open = [
            name for name, pairs in screened.items() if not verdict.is_settled(pairs, margin=margin)
        ]
        confirmed: Pairs = {}
        if left_open:
            with new_stage() as measure:
                opened = {name: screened[name] for name in left_open}
                confirmed = confirm(
                    measure, opened, families, margin=margin, until=until, tell=tell
                )
        is_over = time.monotonic() >= until
        is_noisy = pair_tests.is_noisy(confirmed, margin=margin)
        if is_over or not is_noisy:
            break
    undecided = [
        name
        for name in left_open
        if is_over
        and verdict.is_undecided(
            screened[name], confirmed.get(name, ()), margin=margin, hypotheses=len(left_open)
        )
    ]
    return Evidence(
        screen=screened,
        confirm=confirmed,
        is_noisy=is_noisy,
        not_judged=dict.fromkeys(undecided, verdict.TIME_OVER),
    )


def screen(
    measure: TakePairs, families: Mapping[str, str], *, until: float, tell: Tell
) -> dict[str, list[Pair]]:
    """Take a few pairs of every case and family; where time is short, of fewer cases."""
    pairs = defaultdict(list)
    started, names = time.monotonic(), list(families)
    for done in range(verdict.SCREENING_PAIRS):
        tell(_progress("screening", done, verdict.SCREENING_PAIRS, started))
        share = SCREENING_SHARE * (done + 1) / verdict.SCREENING_PAIRS
        share_ends = started + share * (until - started)
        taken = measure(names, until=share_ends, precision=turns.COARSE_PRECISION)
        for name, pair in taken.items():
            pairs[name].append(pair)
        names = list(taken)
    return pair_tests.with_families({name: pairs[name] for name in names}, families)


def confirm(
    measure: TakePairs,
    screened: Pairs,
    families: Mapping[str, str],
    *,
    margin: float,
    until: float,
    tell: Tell,
) -> dict[str, list[Pair]]:
    """Take fresh pairs of each case or family that the screen left open, until it is decided."""
    pairs: dict[str, list[Pair]] = {name: [] for name in screened}
    open_ = set(screened)
    is_undecided = partial(verdict.is_undecided, margin=margin, hypotheses=len(screened))
    most, started = max(verdict.MOST_PAIRS, pair_tests.pairs_needed(len(pairs))), time.monotonic()
    for done in range(most):
        open_ = {name for name in open_ if is_undecided(screened[name], pairs[name])}
        chosen = [name for name, family in families.items() if open_ & {name, family}]
        if not chosen or time.monotonic() >= until:
            break
        tell(_progress(f"confirming {counted(len(open_), 'case')}", done, most, started))
        taken = measure(chosen, until=until, precision=turns.PRECISION)
        measured = {name: [pair] for name, pair in taken.items()}
        grown = pair_tests.with_families(measured, families)
        open_ &= grown.keys()  # a family ends with its first case that cannot be measured
        for name in open_:
            pairs[name] += grown[name]
    return {name: series for name, series in pairs.items() if series}


def _progress(stage: str, done: int, most: int, started: float) -> str:
    at_most = "at most " if most > verdict.SCREENING_PAIRS else ""
    text = f"{stage}: pair {done + 1} of {at_most}{most}"
    if done:
        left_seconds = (time.monotonic() - started) / done * (most - done)
        text += f", {at_most}{duration(left_seconds)} left"
    return text
