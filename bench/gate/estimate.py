"""From pairs to a ratio, its interval, and the slowdown that would have been caught."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from bench.gate import pair_tests
from bench.gate.pair_tests import CONTROL_VARIANCE, HEAD_VARIANCE, Pair

CONFIDENCE = 0.95
POWER = 0.95  # of finding the slowdown that is printed as "would catch"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What pairs tell about one case: head's time over base's."""

    ratio: float | None = None
    low: float | None = None  # of its 95 % interval; None from one run a side
    high: float | None = None
    detectable: float | None = None  # smallest slowdown that would have been caught, a share


def of_pairs(
    screen: Sequence[Pair], confirm: Sequence[Pair], *, margin: float, hypotheses: int
) -> Estimate:
    """Estimate one case from at least two pairs.

    The ratio is that of the confirmation where there is one, since the screen's was selected on;
    the spread is that of all pairs. Student's interval, as far as pairs are independent.

    Args:
        screen: pairs of the first stage.
        confirm: of the second, if it came to that.
        margin: slowdown that passes.
        hypotheses: how many are confirmed together; it decides how many pairs a test needs.

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
    """Standard deviation of one pair's head, and its degrees of freedom.

    The control's ratio is known to be one; the head's is estimated, which costs one degree.
    """
    head = np.array([pair.head for pair in pairs])
    control = np.array([pair.control for pair in pairs])
    squares = ((head - head.mean()) ** 2).sum() / HEAD_VARIANCE
    squares += (control**2).sum() / CONTROL_VARIANCE
    freedom = 2 * len(pairs) - 1
    return math.sqrt(HEAD_VARIANCE * float(squares) / freedom), freedom


def _reach_of_a_pair(freedom: int, hypotheses: int) -> float:
    """How many spreads above the margin a ratio must lie for the confirmation to catch it.

    All but one of the pairs must lie above the margin: the chance of each is a beta quantile
    (Clopper and Pearson 1934), and its distance a t quantile.
    """
    pairs = pair_tests.pairs_needed(hypotheses)
    return float(special.stdtrit(freedom, special.betaincinv(pairs - 1, 2, POWER)))
