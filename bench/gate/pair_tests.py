"""Pairs, and the exact tests on them.

The unit of every statistic is a pair: one number from one set of fresh processes, over their turns.
A pair here comes with its control, the same of a second process of the base itself.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

LEVEL = 0.01


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Log ratios of one set of fresh processes: base, control and head.

    Where processes are alike and independent, the two ratios are uncorrelated, and their variances
    are 3/2 and 2 times that of one process.
    """

    head: float  # to the geometric mean of base and control, which run the same code
    control: float  # to the base


Pairs = Mapping[str, Sequence[Pair]]
HEAD_VARIANCE, CONTROL_VARIANCE = 1.5, 2.0


def pair_of(turns: Sequence[Sequence[float]]) -> Pair:
    """A pair: the medians, over turns taken together, of the log ratios.

    The head's is the mean of its medians to base and to control. A median over the mean of both
    would be biased, since the noise of a turn is skewed: 0.7 % of a turn of 2 ms.

    Args:
        turns: seconds a unit of base, control and head, a value a turn: (3, turns).

    """
    base, control, head = np.log(turns)
    return Pair(
        head=float(np.median(head - base) + np.median(head - control)) / 2,
        control=float(np.median(control - base)),
    )


def with_families(pairs: Pairs, families: Mapping[str, str]) -> dict[str, list[Pair]]:
    """Add each family of two or more cases: their geometric mean, pair by pair.

    Args:
        pairs: of each case.
        families: of each case; a family is complete, and added, with all of its cases in `pairs`.

    """
    members = defaultdict(list)
    for case, family in families.items():
        members[family].append(case)
    everything = {name: list(seen) for name, seen in pairs.items()}
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


@cache
def pairs_needed(hypotheses: int) -> int:
    """Pairs with which the test of each of so many hypotheses can reject, one pair contrary."""
    level = LEVEL / hypotheses
    return next(pairs for pairs in itertools.count(2) if special.bdtr(1, pairs, 0.5) <= level)


def sign_test(log_ratios: Sequence[float], *, margin: float) -> float:
    """P value of "the ratio is at most 1 + margin": exact, whatever the distribution."""
    contrary = sum(value <= math.log1p(margin) for value in log_ratios)
    return float(special.bdtr(contrary, len(log_ratios), 0.5))


def sides(pairs: Iterable[Pair]) -> list[list[float]]:
    """The four samples that are tested: head and control, slower and faster."""
    ratios = [[pair.head for pair in pairs], [pair.control for pair in pairs]]
    return [[sign * value for value in values] for values in ratios for sign in (1, -1)]


def is_open(pairs: Sequence[Pair], *, margin: float, needed: int) -> bool:
    """Whether a test on `needed` pairs could still reject, on any side, for head or control.

    Stopping where none can changes no verdict: a test that cannot reject would not have.
    """
    threshold = math.log1p(margin)
    contrary = (sum(value <= threshold for value in side) for side in sides(pairs))
    return len(pairs) < needed and any(
        special.bdtr(count, needed, 0.5) <= LEVEL for count in contrary
    )


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
    """The P value of each hypothesis, of the head or the control, in either direction.

    Each test is on as many pairs as it needs; those beyond make the interval narrower, no more.
    """
    needed = pairs_needed(max(1, len(confirm)))
    return {
        name: sign_test([log_ratio_of(pair) for pair in pairs[:needed]], margin=margin)
        for name, pairs in confirm.items()
    }


def is_restless(confirm: Pairs, *, margin: float) -> bool:
    """Whether the very test that would convict the head convicts a second copy of the base."""
    slower = sign_tests(confirm, lambda pair: pair.control, margin=margin)
    faster = sign_tests(confirm, lambda pair: -pair.control, margin=margin)
    return bool(holm(slower) or holm(faster))
