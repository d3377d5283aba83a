"""Which batch size trains fastest: steps that are known times seconds that are measured here.

Then it is trained there, with seeds that had no part in the choice.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from bench.best import trial
from bench.best.reference import Reference
from bench.laws import time_to_target
from bench.laws.time_to_target import TimeToTarget
from bench.measure import step_time
from bench.measure.step_time import Setting, Subject
from mnist_mlp import engines
from mnist_mlp.clock import stopwatch
from mnist_mlp.data import Data
from mnist_mlp.model import MLP
from mnist_mlp.training import Walk

SECONDS = 4.0  # of measuring, an engine
PROCESSES = 3
CONFIRMING_SEEDS = range(200, 205)  # those of the reference are others
BUDGET = 3.0  # times the steps that are expected


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was predicted for an engine, and how it went."""

    engine: str
    target: float
    predicted: TimeToTarget
    rates: dict[int, float]  # by batch size
    run_seconds: Sequence[float] = ()  # of training at the best batch size, by seed


def predict(
    names: Sequence[str],
    target: float,
    setting: Setting,
    reference: Reference,
    *,
    seconds: float = SECONDS,
    processes: int = PROCESSES,
    tell: Callable[[str], object] = lambda _: None,
) -> list[Found]:
    """Predict the time to target at each batch size of the reference, for each engine.

    Args:
        names: of the engines.
        target: test accuracy, one of the reference's.
        setting: to measure seconds a step with.
        reference: steps to target.
        seconds: of measuring, an engine.
        processes: in which seconds are measured.
        tell: is called with what is going on.

    Raises:
        ProcessError: a measuring process ended early.
        CacheError, DataError, UnavailableError: measuring cannot start.

    """
    runs = reference.runs(target, judged_on="test")
    timed = step_time.measure(
        [Subject(engine=name, batch_size=size) for name in names for size in runs],
        setting,
        seconds=seconds * len(names),
        processes=processes,
        tell=tell,
    )
    return [
        Found(
            engine=name,
            target=target,
            predicted=time_to_target.combine(
                runs, {size: timed[Subject(engine=name, batch_size=size)] for size in runs}
            ),
            rates={one.batch_size: one.learning_rate for one in reference.tuned[target]},
        )
        for name in names
    ]


def train(found: Found, batch_size: int, data: Data, setting: Setting, *, seed: int) -> float:
    """Train an engine to the target at a batch size of the prediction, then time it once more.

    Returns the seconds of the second training; infinite where the first missed the target.

    The second training takes as many steps without a pause. An evaluation also slows the steps
    after it: it empties the caches of what they use, and the engine's threads start again.
    """
    expected = float(found.predicted.steps[found.predicted.batch_sizes.index(batch_size)])
    walk = _new_walk(found, batch_size, data, setting, seed)
    last = trial.to_target(walk, data.test, found.target, expected, budget=BUDGET)
    if last is None or last.accuracy < found.target:
        return math.inf
    walk = _new_walk(found, batch_size, data, setting, seed)
    started = stopwatch()
    walk.advance(last.steps)
    return stopwatch() - started


def _new_walk(found: Found, batch_size: int, data: Data, setting: Setting, seed: int) -> Walk:
    engine = engines.load(found.engine)(
        MLP(seed=seed).to(setting.device), learning_rate=found.rates[batch_size]
    )
    generator = torch.Generator().manual_seed(seed)
    return Walk(engine, data.train, batch_size, generator=generator)
