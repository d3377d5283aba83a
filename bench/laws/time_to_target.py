"""Time to target by batch size, T(B) = S(B) t(B), from steps and seconds that were measured apart.

Random draws stand for the uncertainty. With many seeds, draws of S(B) are a bootstrap: medians of
resampled seeds, the same seeds at every batch size (Efron and Tibshirani 1993). With few seeds,
log steps are taken as normal, with one spread at all batch sizes. For t(B), the replicates are a
few processes. The logarithm of a process's median is taken as normal around the truth, so draws
follow a multivariate t with one degree of freedom fewer than processes. An error that a process
makes at all batch sizes stays common to them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.laws import laws
from bench.laws.laws import CONFIDENCE, Estimate, StepsToTarget, StepTime

Floats = NDArray[np.float64]
# Batch size -> seed -> steps of the last evaluation below the target, and of the first at it.
StepBounds = Mapping[int, Mapping[int, tuple[float, float]]]

DRAWS = 2_000
MANY_SEEDS = 10
# Prior standard deviation of log steps over seeds, and its weight in degrees of freedom.
PRIOR_SPREAD, PRIOR_FREEDOM = 0.15, 3
FARTHEST = 20.0  # largest error of log t(B) in a draw: a factor of 5e8
WITHIN = 0.1  # the plateau ends at 10 % above the best time


@dataclass(frozen=True, kw_only=True)
class TimeToTarget:
    """Seconds of training to the target at some batch sizes."""

    batch_sizes: tuple[int, ...]
    steps: Floats  # (sizes,): S(B), infinite where half the seeds missed the target
    step_seconds: Floats  # (sizes,): t(B)
    seed_steps: tuple[Floats, ...]  # one (seeds,) array per size
    spread: float  # standard deviation of log steps over seeds, used if seeds are few
    step_draws: Floats  # (draws, sizes)
    step_seconds_draws: Floats  # (draws, sizes)
    processes: int  # number of processes that measured t(B)

    @cached_property
    def seconds(self) -> dict[int, Estimate]:
        """T(B) of each batch size."""
        values, draws = self.steps * self.step_seconds, self.draws
        return {
            size: _estimate_of(value, draws[:, place])
            for place, (size, value) in enumerate(zip(self.batch_sizes, values, strict=True))
        }

    @property
    def best(self) -> int:
        """The batch size with the least time."""
        return min(self.batch_sizes, key=lambda size: self.seconds[size].value)

    @cached_property
    def best_interval(self) -> tuple[int, int]:
        """The batch sizes between which the best lies in 95 % of the draws."""
        best = np.sort(np.array(self.batch_sizes)[self.draws.argmin(axis=1)])
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(best, [tail, 1 - tail], method="nearest")
        return int(low), int(high)

    @cached_property
    def ratios(self) -> dict[int, Estimate]:
        """The time of each batch size over that of the best: 1 and its regret."""
        best, best_draws = self.seconds[self.best].value, self.draws.min(axis=1)
        return {
            size: _estimate_of(self.seconds[size].value / best, draws / best_draws)
            for size, draws in zip(self.batch_sizes, self.draws.T, strict=True)
        }

    def is_on_plateau(self, batch_size: int) -> bool | None:
        """Whether its time is within 10 % of the best; None if the interval leaves it open."""
        ratio = self.ratios[batch_size]
        if ratio.high <= 1 + WITHIN:
            return True
        return None if ratio.low <= 1 + WITHIN else False

    def median_of_runs(self, batch_size: int, runs: int) -> Estimate:
        """Predict the median time of so many runs with new seeds, in a new process."""
        place = self.batch_sizes.index(batch_size)
        draw, steps = np.random.default_rng(1), self.seed_steps[place]
        # Seeds vary around the median of their batch size, and that median is itself uncertain.
        if _are_many(steps):
            picks = draw.integers(len(steps), size=(len(self.step_draws), runs))
            medians = np.median(steps[picks], axis=1)
        else:
            error = self.spread * _error_of_median(runs)
            medians = self.steps[place] * np.exp(error * draw.standard_normal(len(self.step_draws)))
        shifts = self.step_draws[:, place] / self.steps[place]
        # A single process varies more than the mean of several processes.
        errors = self.step_seconds_draws[:, place] / self.step_seconds[place]
        new_process = self.step_seconds[place] * errors ** math.sqrt(self.processes + 1)
        draws = medians * shifts * new_process
        return _estimate_of(self.seconds[batch_size].value, draws)

    def ratio_of_best(self, other: "TimeToTarget") -> Estimate:
        """Estimate the ratio of the best time here to the best time of `other`."""
        value = self.seconds[self.best].value / other.seconds[other.best].value
        return _estimate_of(value, self.draws.min(axis=1) / other.draws.min(axis=1))

    def fit_laws(self) -> tuple[StepTime, StepsToTarget]:
        """Fit the law of step time and that of steps to the target.

        Raises:
            LawError: a law cannot be fitted.

        """
        step_seconds = map(float, self.step_seconds)
        seed_steps = [steps.tolist() for steps in self.seed_steps]
        return (
            laws.fit_step_time(dict(zip(self.batch_sizes, step_seconds, strict=True))),
            laws.fit_steps_to_target(dict(zip(self.batch_sizes, seed_steps, strict=True))),
        )

    @cached_property
    def draws(self) -> Floats:
        """Draws of T(B), (draws, sizes)."""
        return self.step_draws * self.step_seconds_draws


def combine(
    bounds: StepBounds, step_seconds: Mapping[int, Sequence[Sequence[float]]]
) -> TimeToTarget:
    """Multiply steps by seconds.

    Args:
        bounds: batch size -> seed -> bounds of steps.
        step_seconds: batch size -> process -> seconds per step of its turns; two processes or more.

    """
    sizes = tuple(size for size in sorted(bounds) if size in step_seconds)
    seed_steps = tuple(
        np.array([high for _, (_, high) in sorted(bounds[size].items())], dtype=float)
        for size in sizes
    )
    random = np.random.default_rng(0)
    # The same seeds are drawn at every size that has as many.
    counts = sorted({len(steps) for steps in seed_steps})
    picks = {count: random.integers(count, size=(DRAWS, count)) for count in counts}
    middles, log_draws = _of_processes([step_seconds[size] for size in sizes], random)
    spread, freedom = _spread_of_seeds(seed_steps)
    step_draws = [
        np.median(steps[picks[len(steps)]], axis=1)
        if _are_many(steps)
        else np.median(steps)
        * np.exp(spread * _error_of_median(len(steps)) * random.standard_t(freedom, size=DRAWS))
        for steps in seed_steps
    ]
    return TimeToTarget(
        batch_sizes=sizes,
        # np.median over seeds: the median of bench.runs.seeds is 1 % too high for 20 seeds, as much
        # as two sizes on the plateau differ.
        steps=np.array([np.median(steps) for steps in seed_steps]),
        step_seconds=middles,
        seed_steps=seed_steps,
        spread=spread,
        step_draws=np.array(step_draws).T,
        step_seconds_draws=middles * np.exp(log_draws),
        processes=len(step_seconds[sizes[0]]),
    )


def _are_many(steps: Floats) -> bool:
    """Whether seeds are resampled: there are many, or some missed the target."""
    return len(steps) >= MANY_SEEDS or not np.isfinite(steps).all()


def _spread_of_seeds(seed_steps: Sequence[Floats]) -> tuple[float, int]:
    """Pool the spread of the logarithms over batch sizes; return it and its degrees of freedom."""
    logs = [np.log(steps) for steps in seed_steps if np.isfinite(steps).all()]
    freedom = PRIOR_FREEDOM + sum(len(each) - 1 for each in logs)
    squares = sum(float(np.square(each - each.mean()).sum()) for each in logs)
    return math.sqrt((PRIOR_FREEDOM * PRIOR_SPREAD**2 + squares) / freedom), freedom


def _error_of_median(seeds: int) -> float:
    """Return the standard error of the median of so many normal numbers, in standard deviations.

    It is exact for a single number, and in the limit of many numbers.
    """
    return math.sqrt(math.pi / 2 / (seeds + math.pi / 2 - 1))


def seconds_per_step(turns: Sequence[Sequence[float]]) -> Estimate:
    """Estimate t(B) of one batch size from the turns of each process."""
    middles, log_draws = _of_processes([turns], np.random.default_rng(0))
    return _estimate_of(float(middles[0]), middles[0] * np.exp(log_draws[:, 0]))


def _of_processes(
    step_seconds: Sequence[Sequence[Sequence[float]]], random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return t(B), (sizes,), and draws of the logarithm of its error, (draws, sizes)."""
    logs = np.array([[math.log(np.median(turns)) for turns in of_size] for of_size in step_seconds])
    middles = logs.mean(axis=1)  # logs: (sizes, processes)
    processes = logs.shape[1]
    errors = (logs - middles[:, None]) / math.sqrt(processes * (processes - 1))
    normal = random.standard_normal((DRAWS, processes))
    scale = np.sqrt((processes - 1) / random.chisquare(processes - 1, size=DRAWS))
    log_draws = scale[:, None] * (normal @ errors.T)
    # With few degrees of freedom, some draws of Student's t are beyond every float.
    return np.exp(middles), np.clip(log_draws, -FARTHEST, FARTHEST)


def _estimate_of(value: float, draws: Floats) -> Estimate:
    """Put the interval of draws around a value."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], method="nearest")
    return Estimate(value=float(value), low=float(low), high=float(high))
