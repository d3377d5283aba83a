"""How the seconds of paired turns stand to one another: a ratio and its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import quantile_test


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """The median over turns, and the interval that covers it with some confidence."""

    ratio: float
    low: float
    high: float


def paired(seconds: Sequence[float], beside: Sequence[float], *, confidence: float) -> Ratio:
    """Return how many times as long as those beside them the turns took.

    The interval is the sign test's, without assumptions on the noise but that turns are
    independent. It is infinite where there are too few turns for the confidence.
    """
    log_ratios = np.log(seconds) - np.log(beside)
    median = float(np.median(log_ratios))
    interval: Any = quantile_test(log_ratios, q=median).confidence_interval(confidence)
    low, high = float(interval.low), float(interval.high)
    return Ratio(ratio=float(np.exp(median)), low=float(np.exp(low)), high=float(np.exp(high)))
