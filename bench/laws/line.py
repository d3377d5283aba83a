"""A line through measured points, fitted so that relative misfits count equally.

Both laws of batch size are lines: step time in B, steps to the target in 1 / B. They are fitted by
least squares of the logarithms, so that parameters stay above 0. Intervals are 95 %, from the
linearised covariance of the log parameters and Student's t with two degrees of freedom fewer than
points (Bates and Watts 1988, Nonlinear Regression Analysis, chapter 2). They hold for misfits that
are independent from point to point and alike in spread; a bend that the line lacks counts as noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from mnist_mlp.errors import UserError

CONFIDENCE = 0.95
ROUNDING = 1e-12  # relative; a smaller trend is none


class LawError(UserError):
    """No law can be fitted; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its 95 % interval, whose ends may be infinite."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """A fitted y = a + b x, with a and b above 0."""

    log_parameters: np.ndarray  # (2,): of a and of b
    covariance: np.ndarray  # (2, 2): of the same
    freedom: int

    def power(self, of_a: int, of_b: int) -> Estimate:
        """Estimate a ** of_a * b ** of_b."""
        powers = np.array([of_a, of_b])
        error = math.sqrt(max(0.0, powers @ self.covariance @ powers))
        reach = error * t_quantile(self.freedom)
        with np.errstate(over="ignore"):  # an end beyond every float is infinite
            value, low, high = np.exp(powers @ self.log_parameters + [0, -reach, reach])
        return Estimate(value=float(value), low=float(low), high=float(high))


def fit_line(x: Sequence[float], y: Sequence[float], *, flat: str, proportional: str) -> Line:
    """Fit log y = log(a + b x) by least squares; the sentences are for b and a that vanish."""
    log_x, log_y = np.log(x), np.log(y)
    # From b = 0, or a = 0, squares fall inwards where the residuals rise with x, or with 1 / x.
    if not _rises(log_x, log_y):
        raise LawError(flat)
    if not _rises(-log_x, log_y - log_x):
        raise LawError(proportional)
    log_ratio = log_x.mean()  # of a over b, to start from
    log_b = np.mean(log_y - np.logaddexp(log_ratio, log_x))
    parameters, covariance = optimize.curve_fit(
        lambda log_x, log_a, log_b: np.logaddexp(log_a, log_b + log_x),
        log_x,
        log_y,
        p0=(log_ratio + log_b, log_b),
    )
    return Line(log_parameters=parameters, covariance=covariance, freedom=len(x) - 2)


def t_quantile(freedom: int) -> float:
    """Half the width of a 95 % interval, in standard errors."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))


def _rises(log_x: np.ndarray, y: np.ndarray) -> bool:
    """Whether y goes up with x on the whole."""
    return bool(np.cov(np.exp(log_x - log_x.max()), y)[0, 1] > ROUNDING)
