"""Pairs, and the exact tests on them.

The unit of every statistic is a pair: the median log ratio, over their turns, of two fresh
processes. A pair here comes with its control, the same of a second process of the base itself.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from bench.cases import Case

LEVEL = 0.01


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Log ratios to the base in one set of fresh processes."""

    head: float
    control: float  # a second process of the base


Pairs = Mapping[str, Sequence[Pair]]


def log_ratio(base_seconds: Sequence[float], other_seconds: Sequence[float]) -> float:
    """A pair: the median, over turns taken together, of the logarithm of other over base."""
    return float(np.median(np.log(other_seconds) - np.log(base_seconds)))


def with_families(pairs: Pairs, cases: Sequence[Case]) -> dict[str, list[Pair]]:
    """Add each family of two or more cases: their geometric mean, pair by pair.

    Only families whose every measured case is in `pairs` are complete, and are added.
    """
    members = defaultdict(list)
    for case in cases:
        members[case.family].append(case.name)
    everything = {name: list(pairs[name]) for name in pairs}
    for family, names in members.items():
        if len(names) > 1 and all(name in pairs for name in names):
            everything[family] = [
                Pair(
                    head=float(np.mean([pair.head for pair in together])),
                    control=float(np.mean([pair.control for pair in together])),
                )
                for together in zip(*(pairs[name] for name in names), strict=False)
            ]
    return everything


def routed(screen: Pairs, *, margin: float) -> list[str]:
    """What goes on: by the median of its pairs, or its control's, beyond half the margin."""
    threshold = math.log1p(margin) / 2
    return [
        name
        for name, pairs in screen.items()
        if abs(np.median([pair.head for pair in pairs])) > threshold
        or abs(np.median([pair.control for pair in pairs])) > threshold
    ]


@cache
def pairs_needed(hypotheses: int) -> int:
    """Pairs with which the test of each of so many hypotheses can reject, one pair contrary."""
    pairs = 2
    while stats.binom.sf(pairs - 2, pairs, 0.5) > LEVEL / hypotheses:
        pairs += 1
    return pairs


@cache
def contrary_allowed(pairs: int) -> int:
    """The most contrary pairs of so many with which the test could still reject at the level."""
    return int(stats.binom.ppf(LEVEL, pairs, 0.5)) - 1


def sign_test(log_ratios: Sequence[float], *, margin: float) -> float:
    """P value of "the ratio is at most 1 + margin": exact, whatever the distribution."""
    above = sum(value > math.log1p(margin) for value in log_ratios)
    return float(stats.binom.sf(above - 1, len(log_ratios), 0.5))


def is_open(pairs: Sequence[Pair], *, margin: float, needed: int) -> bool:
    """Whether a test on `needed` pairs could still reject, on any side, for head or control.

    Stopping where none can changes no verdict: a test that cannot reject would not have.
    """
    threshold, allowed = math.log1p(margin), contrary_allowed(needed)
    sides = (
        [sign * value for value in values]
        for values in ([pair.head for pair in pairs], [pair.control for pair in pairs])
        for sign in (1, -1)
    )
    return any(sum(value <= threshold for value in side) <= allowed for side in sides)


def holm(p_values: Mapping[str, float]) -> set[str]:
    """The hypotheses that Holm's step-down procedure rejects at the level (Holm 1979)."""
    rejected: set[str] = set()
    for name in sorted(p_values, key=p_values.__getitem__):
        if p_values[name] > LEVEL / (len(p_values) - len(rejected)):
            break
        rejected.add(name)
    return rejected


def sign_tests(
    confirm: Pairs, log_ratio_of: Callable[[Pair], float], *, margin: float
) -> dict[str, float]:
    """The P value of each hypothesis, of the head or the control, in either direction."""
    return {
        name: sign_test([log_ratio_of(pair) for pair in pairs], margin=margin)
        for name, pairs in confirm.items()
    }


def is_restless(confirm: Pairs, *, margin: float) -> bool:
    """Whether the very test that would convict the head convicts a second copy of the base."""
    slower = sign_tests(confirm, lambda pair: pair.control, margin=margin)
    faster = sign_tests(confirm, lambda pair: -pair.control, margin=margin)
    return bool(holm(slower) or holm(faster))
