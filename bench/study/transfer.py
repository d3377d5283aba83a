"""Whether steps of one engine and few timed sizes predict the best batch size of any engine.

By the laws, an engine with ten times the overhead a step has sqrt(10) times the best batch size.
Each cell is an engine, a number of threads, a training set and a target. Its prediction multiplies
steps of other seeds by seconds a step that were timed at four sizes. It is then checked: fresh
seeds and uninterrupted training at the predicted size, at its neighbours, and at usual choices.
"""

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from bench.answer import steps_curve
from bench.answer.steps_law import Bounds
from bench.instruments import step_time
from bench.instruments.step_time import Setting as TimingSetting
from bench.instruments.step_time import StepSeconds, Subject
from bench.study.plan import BATCH_SIZES, Carry
from bench.study.reference import Reference
from bench.study.trial import Setting, Task

ENGINES = ("loader", "eager", "compiled", "native")
# Training set -> targets. Ten thousand samples do not reach 0.97 with this network.
TARGETS = {60_000: (0.93, 0.95, 0.97), 10_000: (0.90, 0.93, 0.95)}
TIMED_SIZES = (2, 16, 128, 1024)
STUDIED_SIZES = (1, 4, 16, 64)  # of the smaller training set
STUDIED_SEEDS = range(500, 510)
CHECKING_SEEDS = range(520, 540)
USUAL = (32, 128)  # beside the power of two nearest to the square root of the training set
FIRST_EVALUATION, BUDGET = 0.4, 8.0  # times the steps of the reference
PREDICTING_SECONDS = 15.0  # of timing, for each number of threads and training set
CHECKING_SECONDS = 60.0
CHECKING_TURN_SECONDS = 0.5
CHECKING_PROCESSES = 2


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Where a best batch size is predicted."""

    engine: str
    threads: int
    samples: int
    target: float

    @property
    def usual(self) -> tuple[int, ...]:
        """What is usually chosen: the square root of the training set first."""
        return (1 << round(math.log2(self.samples) / 2), *USUAL)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A prediction, and what was measured."""

    cell: Cell
    predicted: int  # batch size
    predicted_seconds: float  # of training to the target there
    measured: Mapping[int, float]  # batch size -> seconds of training to the target

    @property
    def best(self) -> int:
        """The fastest of the batch sizes that were measured."""
        return min(self.measured, key=self.measured.__getitem__)

    def regret(self, batch_size: int) -> float:
        """What a batch size costs beside the best one."""
        return self.measured[batch_size] / self.measured[self.best] - 1


Tell = Callable[[str], object]


def check(
    reference: Reference, carry: Carry, timing: TimingSetting, *, tell: Tell
) -> Iterator[Checked]:
    """Predict the best batch size in every cell, and check it.

    Args:
        reference: steps to target on the whole training set.
        carry: carries out trainings.
        timing: where the data is; threads and samples are set for each cell.
        tell: is called with what is going on.

    """
    for samples, threads in itertools.product(TARGETS, sorted({1, os.cpu_count() or 1})):
        setting = TimingSetting(
            threads=threads,
            samples=samples,
            data_root=timing.data_root,
            cache_dir=timing.cache_dir,
        )
        cells = [
            Cell(engine=engine, threads=threads, samples=samples, target=target)
            for engine in ENGINES
            for target in TARGETS[samples]
        ]
        yield from _check_alike(cells, setting, reference, carry, tell)


def _check_alike(
    cells: Sequence[Cell], setting: TimingSetting, reference: Reference, carry: Carry, tell: Tell
) -> list[Checked]:
    """Check cells that share threads and training set."""
    where = f"{setting.samples} samples, {setting.threads} threads: "
    few = _timed(
        dict.fromkeys(ENGINES, TIMED_SIZES),
        setting,
        seconds=PREDICTING_SECONDS,
        tell=lambda text: tell(where + text),
    )
    forecasts = {}
    for cell in cells:
        steps = _known_steps(cell, reference, carry)
        seconds = _between(few, cell.engine)
        forecasts[cell] = {size: steps[size] * seconds(size) for size in BATCH_SIZES}
    sizes = {cell: _sizes(cell, forecast) for cell, forecast in forecasts.items()}
    tell(where + "training fresh seeds")
    steps_there = {cell: _fresh_steps(cell, sizes[cell], reference, carry) for cell in cells}
    long = _timed(
        {
            engine: sorted(set().union(*(sizes[cell] for cell in cells if cell.engine == engine)))
            for engine in ENGINES
        },
        setting,
        seconds=CHECKING_SECONDS,
        processes=CHECKING_PROCESSES,
        turn_seconds=CHECKING_TURN_SECONDS,
        tell=lambda text: tell(where + text),
    )
    return [
        Checked(
            cell=cell,
            predicted=_best(forecast),
            predicted_seconds=forecast[_best(forecast)],
            measured={
                size: steps_there[cell][size] * _middle(long, cell.engine, size)
                for size in sizes[cell]
            },
        )
        for cell, forecast in forecasts.items()
    ]


def _timed(sizes: Mapping[str, Iterable[int]], setting: TimingSetting, **how: Any) -> StepSeconds:
    subjects = [
        Subject(engine=engine, batch_size=size) for engine, of in sizes.items() for size in of
    ]
    return step_time.measure(subjects, setting, **how)


def _middle(timed: StepSeconds, engine: str, batch_size: int) -> float:
    """Median of the processes' medians."""
    turns = timed[Subject(engine=engine, batch_size=batch_size)]
    return float(np.median([np.median(each) for each in turns]))


def _between(timed: StepSeconds, engine: str) -> Callable[[int], float]:
    """Seconds a step at any size, by a monotone cubic through the logarithms at timed ones."""
    curve = PchipInterpolator(
        np.log(TIMED_SIZES), np.log([_middle(timed, engine, size) for size in TIMED_SIZES])
    )
    return lambda size: float(np.exp(curve(np.log(size))))


def _best(forecast: Mapping[int, float]) -> int:
    return min(forecast, key=forecast.__getitem__)


def _sizes(cell: Cell, forecast: Mapping[int, float]) -> list[int]:
    """The predicted size, its neighbours, and the usual choices."""
    best = _best(forecast)
    return sorted({size for size in (best // 2, best, 2 * best, *cell.usual) if size in forecast})


def _known_steps(cell: Cell, reference: Reference, carry: Carry) -> dict[int, float]:
    """Steps that the prediction uses: the reference's, or a curve through those of few sizes.

    Beyond the largest size whose median run reached the target, no step count is known.
    """
    if cell.samples == max(TARGETS):
        runs = reference.runs(cell.target, judged_on="test")
        return {size: _median_steps(of) for size, of in runs.items()}
    found = _trained(cell, STUDIED_SIZES, STUDIED_SEEDS, reference, carry)
    medians = {size: _median_steps(of) for size, of in found.items()}
    reached = {size: steps for size, steps in medians.items() if steps < math.inf}
    curve = steps_curve.fit(reached)
    return {size: curve(size) if size <= max(reached) else math.inf for size in BATCH_SIZES}


def _median_steps(runs: Mapping[int, Bounds]) -> float:
    return float(np.median([high for _, high in runs.values()]))


def _fresh_steps(
    cell: Cell, sizes: Sequence[int], reference: Reference, carry: Carry
) -> dict[int, float]:
    found = _trained(cell, sizes, CHECKING_SEEDS, reference, carry)
    return {size: _median_steps(of) for size, of in found.items()}


def _trained(
    cell: Cell, sizes: Sequence[int], seeds: Sequence[int], reference: Reference, carry: Carry
) -> dict[int, dict[int, Bounds]]:
    """Train each size with each seed at the tuned rate, and return bounds of its steps."""
    tasks = {(size, seed): _task(cell, size, seed, reference) for size in sizes for seed in seeds}
    outcomes = dict(zip(tasks, carry(list(tasks.values())), strict=True))
    return {
        size: {
            seed: outcomes[size, seed].bounds.get(
                cell.target, (outcomes[size, seed].steps, math.inf)
            )
            for seed in seeds
        }
        for size in sizes
    }


def _task(cell: Cell, size: int, seed: int, reference: Reference) -> Task:
    """Train at the target's tuned rate, as far as any target that shares it asks."""
    rates = {
        target: one.learning_rate
        for target in TARGETS[cell.samples]
        for one in reference.tuned[target]
        if one.batch_size == size
    }
    targets = tuple(target for target in rates if rates[target] == rates[cell.target])
    first, last = (
        _median_steps(reference.runs(target, judged_on="test")[size])
        for target in (targets[0], targets[-1])
    )
    return Task(
        setting=Setting(
            judged_on="test",
            batch_size=size,
            learning_rate=rates[cell.target],
            seed=seed,
            samples=cell.samples,
        ),
        targets=targets,
        most_steps=round(BUDGET * last),
        first_evaluation=round(FIRST_EVALUATION * first),
    )
