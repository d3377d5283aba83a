"""Whether two batch sizes cost the same a sample: equal within a margin, different, or undecided.

"Not significantly different" would be no answer: a short or noisy measurement never finds a
difference. Two one-sided tests (Schuirmann 1987) ask for evidence that there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import quantile_test

CONFIDENCE = 0.9  # of the interval that two one-sided tests at 5 % make


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How the seconds a sample of one batch size stand to another's."""

    ratio: float  # median over turns
    low: float
    high: float
    verdict: str  # "equal", "different" or "undecided"


def compare(seconds: Sequence[float], beside: Sequence[float], *, margin: float) -> Likeness:
    """Judge paired turns, seconds a sample of a size and of the one beside it.

    The interval is the sign test's, without assumptions on the noise but that turns are
    independent.
    """
    log_ratios = np.log(seconds) - np.log(beside)
    median = float(np.median(log_ratios))
    interval: Any = quantile_test(log_ratios, q=median).confidence_interval(CONFIDENCE)
    low, high = float(interval.low), float(interval.high)
    within = -np.log1p(margin), np.log1p(margin)
    verdict = "undecided"
    if within[0] < low and high < within[1]:
        verdict = "equal"
    elif high < within[0] or within[1] < low:
        verdict = "different"
    return Likeness(
        ratio=float(np.exp(median)),
        low=float(np.exp(low)),
        high=float(np.exp(high)),
        verdict=verdict,
    )
