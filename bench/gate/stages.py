"""Which pair comes next: few of every case, then more of those that the few leave open."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

from bench.gate import pair_tests, verdict
from bench.gate.pair_tests import Pair, Pairs
from bench.gate.verdict import Evidence
from bench.units import counted, duration

ATTEMPTS = 2  # decided in advance: where two copies of the base differ, once more from the start

# Measures a pair of each case that can be measured.
TakePairs = Callable[[Sequence[str]], Mapping[str, Pair]]
Stage = Callable[[], AbstractContextManager[TakePairs]]  # which shares no process with another
Tell = Callable[[str], object]


def run(new_stage: Stage, families: Mapping[str, str], *, margin: float, tell: Tell) -> Evidence:
    """Measure until every case and family has what its judgement of speed needs.

    Where two copies of the base differ, both stages are done once more.
    """
    for _ in range(ATTEMPTS):
        with new_stage() as measure:
            screened = screen(measure, families, tell=tell)
        left_open = [
            name for name, pairs in screened.items() if not verdict.is_settled(pairs, margin=margin)
        ]
        confirmed: Pairs = {}
        if left_open:
            with new_stage() as measure:
                opened = {name: screened[name] for name in left_open}
                confirmed = confirm(measure, opened, families, margin=margin, tell=tell)
        is_noisy = pair_tests.is_noisy(confirmed, margin=margin)
        if not is_noisy:
            break
    return Evidence(screen=screened, confirm=confirmed, restless=is_noisy)


def screen(measure: TakePairs, families: Mapping[str, str], *, tell: Tell) -> dict[str, list[Pair]]:
    """Few pairs of every case, and of every family."""
    pairs = defaultdict(list)
    started = time.monotonic()
    for done in range(verdict.SCREENING_PAIRS):
        tell(_progress("screening", done, verdict.SCREENING_PAIRS, started))
        for name, pair in measure(list(families)).items():
            pairs[name].append(pair)
    whole = {name: seen for name, seen in pairs.items() if len(seen) == verdict.SCREENING_PAIRS}
    return pair_tests.with_families(whole, families)


def confirm(
    measure: TakePairs,
    screened: Pairs,
    families: Mapping[str, str],
    *,
    margin: float,
    tell: Tell,
) -> dict[str, list[Pair]]:
    """Fresh pairs of each case or family that the screen left open, until it is decided."""
    pairs: dict[str, list[Pair]] = {name: [] for name in screened}
    open_ = set(screened)
    is_undecided = partial(verdict.is_undecided, margin=margin, hypotheses=len(screened))
    most, started = max(verdict.MOST_PAIRS, pair_tests.pairs_needed(len(pairs))), time.monotonic()
    for done in range(most):
        open_ = {name for name in open_ if is_undecided(screened[name], pairs[name])}
        chosen = [name for name, family in families.items() if open_ & {name, family}]
        if not chosen:
            break
        tell(_progress(f"confirming {counted(len(open_), 'case')}", done, most, started))
        measured = {name: [pair] for name, pair in measure(chosen).items()}
        grown = pair_tests.with_families(measured, families)
        open_ &= grown.keys()  # of a family without one of its cases nothing more is learnt
        for name in open_:
            pairs[name] += grown[name]
    return {name: seen for name, seen in pairs.items() if seen}


def _progress(what: str, done: int, most: int, started: float) -> str:
    at_most = "at most " if most > verdict.SCREENING_PAIRS else ""
    text = f"{what}: pair {done + 1} of {at_most}{most}"
    if done:
        left_seconds = (time.monotonic() - started) / done * (most - done)
        text += f", {at_most}{duration(left_seconds)} left"
    return text
