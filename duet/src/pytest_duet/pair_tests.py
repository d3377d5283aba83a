"""Pairs, the exact tests on them, and the ratio and interval that they estimate.

The unit of every statistic is a pair: one number per case from one set of fresh processes. Each
pair has a control, the same number for a second process of the base.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

LEVEL = 0.01  # significance level of all tests in one direction together
CONFIDENCE = 0.95  # confidence level of each interval
POWER = 0.95  # probability to find the slowdown that is printed as "would catch"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Log ratios of one set of fresh processes: base, control and head.

    If processes are alike and independent, the two ratios are uncorrelated, and their variances
    are 3/2 and 2 times that of one process.
    """

    head: float  # log ratio to the geometric mean of base and control, which run the same code
    control: float  # log ratio to the base


Pairs = Mapping[str, Sequence[Pair]]
HEAD_VARIANCE, CONTROL_VARIANCE = 1.5, 2.0


def pair_of(turns: Sequence[Sequence[float]]) -> Pair:
    """Return the medians, over turns taken together, of the log ratios.

    `turns` holds the seconds per unit of base, control and head: (3, turns). The head's ratio is
    the mean of its medians to base and to control. A median ratio to the mean of both would be
    biased, because the noise of a turn is skewed: by 0.7 % for turns of 2 ms.
    """
    base, control, head = np.log(turns)
    return Pair(
        head=float(np.median(head - base) + np.median(head - control)) / 2,
        control=float(np.median(control - base)),
    )


def members(families: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the cases of each family of two or more; `families` maps each case to its family."""
    cases = defaultdict(list)
    for case, family in families.items():
        cases[family].append(case)
    return {family: names for family, names in cases.items() if len(names) > 1}


def with_families(pairs: Pairs, families: Mapping[str, str]) -> dict[str, list[Pair]]:
    """Add the mean, pair by pair, of each family of two or more cases that were all measured."""
    everything = {name: list(series) for name, series in pairs.items()}
    for family, names in members(families).items():
        if all(name in pairs for name in names):
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
    """Return the fewest pairs with which each test can reject although one pair is contrary."""
    level = LEVEL / hypotheses
    return next(pairs for pairs in itertools.count(2) if special.bdtr(1, pairs, 0.5) <= level)


def sign_test(log_ratios: Sequence[float], *, margin: float) -> float:
    """Return the P value of "the ratio is at most 1 + margin": exact for any distribution."""
    contrary = sum(value <= math.log1p(margin) for value in log_ratios)
    return float(special.bdtr(contrary, len(log_ratios), 0.5))


def sides(pairs: Iterable[Pair]) -> list[list[float]]:
    """Return the four samples that are tested: head and control, slower and faster."""
    ratios = [[pair.head for pair in pairs], [pair.control for pair in pairs]]
    return [[sign * value for value in values] for values in ratios for sign in (1, -1)]


def is_open(pairs: Sequence[Pair], *, margin: float, needed: int) -> bool:
    """Whether a test on `needed` pairs could still reject, on any side, for head or control.

    Stopping when no test can reject any more changes no verdict.
    """
    threshold = math.log1p(margin)
    contrary = (sum(value <= threshold for value in side) for side in sides(pairs))
    return len(pairs) < needed and any(
        special.bdtr(count, needed, 0.5) <= LEVEL for count in contrary
    )


def holm(p_values: Mapping[str, float]) -> set[str]:
    """Return the hypotheses that Holm's step-down procedure rejects at the level (Holm 1979)."""
    rejected: set[str] = set()
    for name in sorted(p_values, key=p_values.__getitem__):
        if p_values[name] > LEVEL / (len(p_values) - len(rejected)):
            break
        rejected.add(name)
    return rejected


def sign_tests(
    confirm: Pairs, log_ratio_of: Callable[[Pair], float], *, margin: float
) -> dict[str, float]:
    """Return each hypothesis's P value; `log_ratio_of` chooses head or control, and the direction.

    Each test uses the pairs that it needs. Additional pairs only make the interval narrower.
    """
    needed = pairs_needed(max(1, len(confirm)))
    return {
        name: sign_test([log_ratio_of(pair) for pair in pairs[:needed]], margin=margin)
        for name, pairs in confirm.items()
    }


def is_noisy(confirm: Pairs, *, margin: float) -> bool:
    """Whether the same tests find the second copy of the base slower or faster than the first."""
    slower = sign_tests(confirm, lambda pair: pair.control, margin=margin)
    faster = sign_tests(confirm, lambda pair: -pair.control, margin=margin)
    return bool(holm(slower) or holm(faster))


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The head's time over the base's in one case, estimated from pairs."""

    ratio: float | None = None
    low: float | None = None  # start of the 95 % interval
    high: float | None = None  # end of the 95 % interval
    detectable: float | None = None  # smallest slowdown that would have been caught, a share


def estimate(
    screen: Sequence[Pair], confirm: Sequence[Pair], *, margin: float, hypotheses: int
) -> Estimate:
    """Estimate one case.

    The ratio comes from the confirmation's pairs if there are any, because the screen's decided
    what is confirmed. The spread comes from all pairs. The interval is Student's and assumes that
    pairs are independent. The number of hypotheses confirmed together decides how many pairs a
    test needs.
    """
    head = np.array([pair.head for pair in confirm] or [pair.head for pair in screen])
    spread, freedom = _spread([*screen, *confirm])
    student = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2))
    mean, reach = float(head.mean()), spread / math.sqrt(len(head)) * student
    return Estimate(
        ratio=math.exp(mean),
        low=math.exp(mean - reach),
        high=math.exp(mean + reach),
        detectable=math.expm1(math.log1p(margin) + spread * _reach_of_a_pair(freedom, hypotheses)),
    )


def _spread(pairs: Sequence[Pair]) -> tuple[float, int]:
    """Return the standard deviation of a pair's head, and its degrees of freedom.

    The control's ratio is known to be 1. The head's is estimated, which costs one degree.
    """
    head = np.array([pair.head for pair in pairs])
    control = np.array([pair.control for pair in pairs])
    squares = ((head - head.mean()) ** 2).sum() / HEAD_VARIANCE
    squares += (control**2).sum() / CONTROL_VARIANCE
    freedom = 2 * len(pairs) - 1
    return math.sqrt(HEAD_VARIANCE * float(squares) / freedom), freedom


def _reach_of_a_pair(freedom: int, hypotheses: int) -> float:
    """Return how many spreads above the margin a ratio must lie for the confirmation to catch it.

    All pairs but one must lie above the margin. The probability that each needs is a beta quantile
    (Clopper and Pearson 1934), and the matching distance is a t quantile.
    """
    pairs = pairs_needed(hypotheses)
    return float(special.stdtrit(freedom, special.betaincinv(pairs - 1, 2, POWER)))
