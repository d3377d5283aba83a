"""Laws of batch size: numbers by batch size in, estimates and misfits out.

- A step takes t(B) = o + c B seconds: an overhead, and B samples' cost. They are equal at B_half.
- The target takes S(B) = S_min (1 + B_crit / B) steps (McCandlish et al. 2018, arXiv 1812.06162;
  the same shape in Shallue et al. 2019, JMLR 20:112), if the learning rate suits B.
- So time to target, S(B) t(B), is least at B* = sqrt(B_half B_crit).

Both laws are lines, in B and in 1 / B. They are fitted by least squares of the logarithms, so that
relative misfits count equally and parameters stay above 0. Intervals are 95 %, from the linearised
covariance of the log parameters and Student's t with two degrees of freedom fewer than points
(Bates and Watts 1988, Nonlinear Regression Analysis, chapter 2). They hold for misfits that are
independent from point to point and alike in spread; a bend that the line lacks counts as noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from bench.runs.seeds import median_over_seeds
from mnist_mlp.errors import UserError

CONFIDENCE = 0.95
ROUNDING = 1e-12  # relative; a smaller trend counts as none
TOLERANCE = 0.2  # a size with a larger misfit breaks the law
FEWEST_SIZES = 3  # a line through two has no misfit to judge it by
FEWEST_SIZES_FOR_SLOPE = 4  # three sizes make an interval too wide to use
LARGEST_BATCH_SIZE = 1024  # larger batches overflow caches: a sample's cost changes


class LawError(UserError):
    """No law can be fitted; the message is the reason. Every fit may raise it."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its 95 % interval, whose ends may be infinite."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Law:
    """How well a law fits."""

    misfits: Mapping[int, float]  # fitted batch size -> measured / fitted - 1

    @property
    def worst_batch_size(self) -> int:
        """The batch size with the largest misfit."""
        return max(self.misfits, key=lambda batch_size: abs(self.misfits[batch_size]))

    @property
    def largest_misfit(self) -> float:
        """The largest misfit as a fraction without its sign: 0.08 is 8 % off."""
        return abs(self.misfits[self.worst_batch_size])


@dataclass(frozen=True, kw_only=True)
class StepTime(Law):
    """Seconds of an optimizer step, t(B) = o + c B."""

    overhead_seconds: Estimate  # o
    seconds_per_sample: Estimate  # c
    half_batch_size: Estimate  # B_half = o / c, samples

    def seconds(self, batch_size: float) -> float:
        """t(B)."""
        return self.overhead_seconds.value + self.seconds_per_sample.value * batch_size


@dataclass(frozen=True, kw_only=True)
class StepsToTarget(Law):
    """Optimizer steps to the target accuracy, S(B) = S_min (1 + B_crit / B)."""

    smallest_steps: Estimate  # S_min, the limit of large batches
    critical_batch_size: Estimate  # B_crit, samples: S(B_crit) is 2 S_min

    def steps(self, batch_size: float) -> float:
        """S(B)."""
        return self.smallest_steps.value * (1 + self.critical_batch_size.value / batch_size)


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """Peak memory above what a process held before, as a line in batch size."""

    bytes_at_zero: float  # noise may take it a little below 0
    bytes_per_sample: float

    def largest_batch(self, physical_bytes: float) -> int:
        """The largest batch size whose peak fits; 0 if none fits."""
        return max(0, math.floor((physical_bytes - self.bytes_at_zero) / self.bytes_per_sample))


@dataclass(frozen=True, kw_only=True)
class Line:
    """A fitted y = a + b x, with a and b above 0."""

    log_parameters: np.ndarray  # (2,): log a and log b
    covariance: np.ndarray  # (2, 2): of the log parameters
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
    """Fit log y = log(a + b x) by least squares; the texts are errors for b = 0 and a = 0."""
    log_x, log_y = np.log(x), np.log(y)
    # From b = 0 the fit improves if residuals rise with x; from a = 0, if they rise with 1 / x.
    if not _rises(log_x, log_y):
        raise LawError(flat)
    if not _rises(-log_x, log_y - log_x):
        raise LawError(proportional)
    log_ratio = log_x.mean()  # start value of log(a / b)
    log_b = np.mean(log_y - np.logaddexp(log_ratio, log_x))
    parameters, covariance = optimize.curve_fit(
        lambda log_x, log_a, log_b: np.logaddexp(log_a, log_b + log_x),
        log_x,
        log_y,
        p0=(log_ratio + log_b, log_b),
    )
    return Line(log_parameters=parameters, covariance=covariance, freedom=len(x) - 2)


def t_quantile(freedom: int) -> float:
    """Return half the width of a 95 % interval, in standard errors."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))


def _rises(log_x: np.ndarray, y: np.ndarray) -> bool:
    """Whether y tends to rise with x."""
    return bool(np.cov(np.exp(log_x - log_x.max()), y)[0, 1] > ROUNDING)


def fit_step_time(seconds: Mapping[int, float]) -> StepTime:
    """Fit t(B) = o + c B to median seconds per step, by batch size up to 1024."""
    for size, value in seconds.items():
        if not (size > 0 and 0 < value < math.inf):
            raise LawError(f"{value} s at batch size {size} is not a step time")
    used = {size: seconds[size] for size in sorted(seconds) if size <= LARGEST_BATCH_SIZE}
    _check_number(used, f"up to {LARGEST_BATCH_SIZE} whose steps were timed")
    line = fit_line(
        list(used),
        list(used.values()),
        flat="step time does not grow with batch size",
        proportional="step time shows no overhead: it grows as fast as batch size, or faster",
    )
    o, c, half = line.power(1, 0), line.power(0, 1), line.power(1, -1)
    return StepTime(
        overhead_seconds=o,
        seconds_per_sample=c,
        half_batch_size=half,
        misfits={size: used[size] / (o.value + c.value * size) - 1 for size in used},
    )


def fit_steps_to_target(steps: Mapping[int, Sequence[float]]) -> StepsToTarget:
    """Fit S(B) = S_min (1 + B_crit / B) to the median steps of each batch size's seeds.

    Args:
        steps: batch size -> steps of each seed, infinite if it missed the target. Batch sizes
            are left out if half their seeds or more missed it.

    """
    reached = _reached(steps)
    _check_number(reached, "that reached the target")
    line = fit_line(
        [1 / size for size in reached],
        list(reached.values()),
        flat="steps to target do not fall as batch size grows",
        proportional="steps to target fall as fast as batch size grows, or faster: "
        "no smallest number of steps is in sight",
    )
    smallest, critical = line.power(1, 0), line.power(-1, 1)
    return StepsToTarget(
        smallest_steps=smallest,
        critical_batch_size=critical,
        misfits={
            size: median / (smallest.value * (1 + critical.value / size)) - 1
            for size, median in reached.items()
        },
    )


def slope_of_log_steps(steps: Mapping[int, Sequence[float]]) -> Estimate:
    """Fit S(B) proportional to B ** slope, the law at a fixed learning rate, to median steps."""
    reached = _reached(steps)
    if len(reached) < FEWEST_SIZES_FOR_SLOPE:
        raise LawError(
            f"too few batch sizes reached the target to tell: {len(reached)} of {len(steps)}, and "
            f"{FEWEST_SIZES_FOR_SLOPE} are needed"
        )
    fitted = stats.linregress(np.log(list(reached)), np.log(list(reached.values())))
    error = np.nan_to_num(fitted.stderr)  # nan if all steps are equal
    reach = error * t_quantile(len(reached) - 2)
    return Estimate(
        value=float(fitted.slope),
        low=float(fitted.slope - reach),
        high=float(fitted.slope + reach),
    )


def censored(steps: Mapping[int, Sequence[float]]) -> tuple[int, ...]:
    """Return the batch sizes whose median seed missed the target."""
    return tuple(size for size in sorted(steps) if median_over_seeds(steps[size]) == math.inf)


def best_batch_size(half: Estimate, critical: Estimate) -> Estimate:
    """B* = sqrt(B_half B_crit); the two intervals add in quadrature on the log scale."""
    with np.errstate(divide="ignore"):  # the logarithm of an end at 0
        values, lows, highs = np.log([(law.value, law.low, law.high) for law in (half, critical)]).T
    middle = values.mean()
    return Estimate(
        value=float(np.exp(middle)),
        low=float(np.exp(middle - np.hypot(*(values - lows)) / 2)),
        high=float(np.exp(middle + np.hypot(*(highs - values)) / 2)),
    )


def fit_memory(peak_bytes: Mapping[int, float]) -> MemoryUse:
    """Fit a line to peak bytes by batch size, so that a byte counts the same at every size."""
    _check_number(peak_bytes, "whose memory was measured")
    fitted = stats.linregress(list(peak_bytes), list(peak_bytes.values()), alternative="greater")
    if not fitted.pvalue < (1 - CONFIDENCE) / 2:
        raise LawError("peak memory does not measurably grow with batch size")
    return MemoryUse(bytes_at_zero=float(fitted.intercept), bytes_per_sample=float(fitted.slope))


def _reached(steps: Mapping[int, Sequence[float]]) -> dict[int, float]:
    """Return median steps of the batch sizes that reached the target."""
    for size, of_seeds in steps.items():
        if not (size > 0 and of_seeds and all(number > 0 for number in of_seeds)):
            raise LawError(f"{list(of_seeds)} at batch size {size} are no steps to target")
    left_out = censored(steps)
    return {
        size: float(median_over_seeds(steps[size]))
        for size in sorted(steps)
        if size not in left_out
    }


def _check_number(measured: Mapping[int, float], condition: str) -> None:
    if len(measured) < FEWEST_SIZES:
        raise LawError(
            f"a law needs {FEWEST_SIZES} batch sizes {condition}, and there are {len(measured)}"
        )
