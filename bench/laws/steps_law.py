"""The law of steps to target, S(B) = S_min (1 + B_crit / B), by maximum likelihood.

The logarithm of a run's steps is that of the law, plus an effect that a seed has at every batch
size, plus one of its own; both are normal. A run is known to lie between two evaluations, or beyond
its last one (interval-censored). The seed's effect is integrated out by Gauss-Hermite quadrature.
Intervals are those of the profile likelihood (Wilks 1938).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from bench.laws.line import CONFIDENCE, Estimate, LawError

Bounds = tuple[float, float]  # steps: above the first, up to the second, which may be infinite
Runs = Mapping[int, Mapping[int, Bounds]]  # batch size -> seed -> bounds
Floats = NDArray[np.float64]
# From parameters to the logarithms of the sizes' medians, and their slopes: (parameters, sizes).
Model = Callable[[Floats], tuple[Floats, Floats]]

FEWEST_SIZES = 3
POINTS, WEIGHTS = special.roots_hermitenorm(15)  # of the quadrature
START_SPREAD = 0.1  # of the logarithms, where the search for the spreads starts
SPREADS_FROM_TO = (math.log(1e-3), math.log(3))  # a tenth of a per cent, and a factor of twenty
FIRST_REACH = 0.05  # of a logarithm, where the search for an end of an interval starts,
FARTHEST_REACH = 4.0  # and where it gives up: 50 times the estimate


@dataclass(frozen=True, kw_only=True)
class StepsLaw:
    """The fitted law, and how it holds."""

    smallest_steps: Estimate  # S_min
    critical_batch_size: Estimate  # B_crit, samples
    seed_spread: float  # standard deviation of the logarithm: of a seed at every size
    run_spread: float  # of a run beside that
    medians: Mapping[int, float]  # batch size -> steps, each size fitted by itself
    lack_of_fit: float  # p-value of the law against `medians`: small where the law does not hold

    def steps(self, batch_size: float) -> float:
        """S(B)."""
        return self.smallest_steps.value * (1 + self.critical_batch_size.value / batch_size)

    @property
    def misfits(self) -> dict[int, float]:
        """Median / law - 1 of each batch size."""
        return {size: median / self.steps(size) - 1 for size, median in self.medians.items()}


def fit(runs: Runs) -> StepsLaw:
    """Fit the law.

    Raises:
        LawError: fewer than 3 batch sizes at which some run reached the target.

    """
    reached = _reached(runs)
    law_loss, law = _fitted(runs)
    table = _Table.of(reached)
    free = _fitted_medians(table)
    return StepsLaw(
        smallest_steps=_interval(law_loss, law, 0),
        critical_batch_size=_interval(law_loss, law, 1),
        run_spread=float(np.exp(law.at[2])),
        seed_spread=float(np.exp(law.at[3])),
        medians=dict(zip(table.sizes, np.exp(free.at[:-2]).tolist(), strict=True)),
        lack_of_fit=float(stats.chi2.sf(2 * (free.best - law.best), len(table.sizes) - 2)),
    )


_SPREADS = (math.log(START_SPREAD), math.log(START_SPREAD))


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Logarithms of the bounds: a row a seed, a column a batch size; NaN where none ran."""

    sizes: Sequence[int]
    low: Floats
    high: Floats

    @classmethod
    def of(cls, runs: Runs) -> "_Table":
        sizes = sorted(runs)
        seeds = sorted({seed for size in sizes for seed in runs[size]})
        cells = np.full((2, len(seeds), len(sizes)), np.nan)
        for column, size in enumerate(sizes):
            for seed, bounds in runs[size].items():
                cells[:, seeds.index(seed), column] = bounds
        with np.errstate(divide="ignore"):
            low, high = np.log(cells)
        return cls(sizes=sizes, low=low, high=high)

    @property
    def start(self) -> Floats:
        """Rough logarithms of the medians; a censored run counts at its last evaluation."""
        ends: Floats = np.nanmedian(np.where(np.isinf(self.high), self.low, self.high), axis=0)
        return ends

    def likelihood(self, middle: Floats, spreads: Floats) -> tuple[float, Floats, Floats]:
        """Return the log likelihood, and its slopes in the medians' and the spreads' logarithms."""
        run, seed = np.exp(spreads)
        centre = middle + seed * POINTS[:, None, None]  # (points, 1, sizes)
        cell = _Cell.of((self.low - centre) / run, (self.high - centre) / run)
        of_seeds = cell.log_probability.sum(axis=2)  # (points, seeds)
        totals = special.logsumexp(of_seeds, axis=0, b=WEIGHTS[:, None])
        shares = np.exp(of_seeds - totals) * WEIGHTS[:, None]  # of each point, a column a seed
        of_middle = shares[:, :, None] * cell.slope / run
        of_run = (shares[:, :, None] * cell.slope_of_spread).sum()
        of_seed = (of_middle.sum(axis=(1, 2)) * POINTS).sum() * seed
        value = float((totals - math.log(2 * math.pi) / 2).sum())
        return value, of_middle.sum(axis=(0, 1)), np.array([of_run, of_seed])


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """A standard normal number between two bounds; where they are NaN, nothing is known."""

    log_probability: Floats
    slope: Floats  # of it, where both bounds move down
    slope_of_spread: Floats  # of it, in the logarithm of what the bounds are divided by

    @classmethod
    def of(cls, low: Floats, high: Floats) -> "_Cell":
        # On the side of the mean where neither is close to 1, so that no digits are lost.
        flipped = low > 0
        log_low = special.log_ndtr(np.where(flipped, -high, low))
        log_high = special.log_ndtr(np.where(flipped, -low, high))
        log_probability = log_high + np.log1p(-np.exp(np.minimum(log_low - log_high, -1e-12)))
        at_low, at_high = (
            np.exp(stats.norm.logpdf(bound) - log_probability) for bound in (low, high)
        )
        with np.errstate(invalid="ignore"):  # at a bound without end the density is 0
            moments = [np.nan_to_num(low * at_low), np.nan_to_num(high * at_high)]
        return cls(
            log_probability=np.nan_to_num(log_probability, nan=0.0, neginf=-1e300),
            slope=np.nan_to_num(at_low - at_high),
            slope_of_spread=moments[0] - moments[1],
        )


def _free(parameters: Floats) -> tuple[Floats, Floats]:
    """Each size has a median of its own."""
    return parameters, np.eye(len(parameters))


def _law(log_sizes: Floats, parameters: Floats) -> tuple[Floats, Floats]:
    """The medians follow the law: log S_min and log B_crit."""
    log_smallest, log_critical = parameters
    beyond = log_critical - log_sizes
    slopes = np.array([np.ones_like(log_sizes), special.expit(beyond)])
    return log_smallest + np.logaddexp(0, beyond), slopes


def _loss(table: _Table, model: Model, at: Floats) -> tuple[float, Floats]:
    """Minus the log likelihood at the model's parameters and the spreads, and its slopes."""
    middle, slopes = model(at[:-2])
    value, of_middle, of_spreads = table.likelihood(middle, at[-2:])
    return -value, -np.concatenate([slopes @ of_middle, of_spreads])


Loss = Callable[[Floats], tuple[float, Floats]]


@dataclass(frozen=True, kw_only=True)
class _Maximum:
    at: Floats
    best: float


def _reached(runs: Runs) -> Runs:
    """The sizes at which some run reached the target; the others have no median of their own."""
    return {
        size: of for size, of in runs.items() if min(high for _, high in of.values()) < math.inf
    }


def _fitted(runs: Runs) -> tuple[Loss, _Maximum]:
    """Fit the law to all runs; a size where none reached the target took longer than they ran."""
    reached = len(_reached(runs))
    if reached < FEWEST_SIZES:
        raise LawError(
            f"a law needs {FEWEST_SIZES} batch sizes that reached the target, and there are "
            f"{reached}"
        )
    table = _Table.of(runs)
    loss = partial(_loss, table, partial(_law, np.log(table.sizes)))
    return loss, _maximise(loss, [*_start_of_law(table), *_SPREADS])


def _fitted_medians(table: _Table) -> _Maximum:
    return _maximise(partial(_loss, table, _free), [*table.start, *_SPREADS])


def _maximise(loss: Loss, start: Iterable[float]) -> _Maximum:
    at = list(start)
    bounds = [(None, None)] * (len(at) - len(_SPREADS)) + [SPREADS_FROM_TO] * len(_SPREADS)
    found = optimize.minimize(loss, at, jac=True, method="L-BFGS-B", bounds=bounds)
    return _Maximum(at=found.x, best=-float(found.fun))


def _start_of_law(table: _Table) -> tuple[float, float]:
    """Return log S_min and log B_crit of the line through the ends' medians."""
    steps, inverse = np.exp(table.start), 1 / np.array(table.sizes, dtype=float)
    slope = max((steps[0] - steps[-1]) / (inverse[0] - inverse[-1]), 1e-3)
    smallest = max(steps[-1] - slope * inverse[-1], steps.min() / 10)
    return math.log(smallest), math.log(slope / smallest)


def _interval(loss: Loss, maximum: _Maximum, place: int) -> Estimate:
    """Return exp of a parameter, and the interval in which the profile likelihood stays high."""
    lowest = maximum.best - stats.chi2.ppf(CONFIDENCE, 1) / 2
    middle, others = maximum.at[place], np.delete(maximum.at, place)

    def above(value: float) -> float:
        def with_value(rest: Floats) -> tuple[float, Floats]:
            lost, slopes = loss(np.insert(rest, place, value))
            return lost, np.delete(slopes, place)

        return _maximise(with_value, others).best - lowest

    low, high = (np.exp(_end(above, middle, direction)) for direction in (-1, 1))
    return Estimate(value=float(np.exp(middle)), low=float(low), high=float(high))


def _end(above: Callable[[float], float], middle: float, direction: int) -> float:
    """Return where `above` falls to 0 on one side; an infinity where it does not."""
    reach = FIRST_REACH
    while above(middle + direction * reach) > 0:
        if reach > FARTHEST_REACH:
            return direction * math.inf
        reach *= 2
    return float(optimize.brentq(above, middle, middle + direction * reach, xtol=1e-4))
