"""Steps and seconds to the target where workers exchange at each step, or only now and then.

Workers that average their parameters every H steps (local SGD: Stich, arXiv 1805.09767) exchange H
times as rarely, and may need more steps.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch

from bench.instruments import worker_time
from bench.instruments.crew import Crew
from bench.runs.seeds import median_over_seeds
from bench.study import trial
from mnist_mlp.engines.parallel import Parallel
from mnist_mlp.model import MLP
from mnist_mlp.training import Walk

BUDGET = 4.0  # times the steps that are expected


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained, in each worker of a group."""

    batch_size: int  # of all workers together
    learning_rate: float
    average_every: int
    target: float
    expected_steps: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """How it went with each seed: infinite where the target was missed."""

    workers: int
    plan: Plan
    steps: Sequence[float]
    seconds: Sequence[float]  # of training, by the slowest worker

    @property
    def median_steps(self) -> float:
        """Over seeds."""
        return median_over_seeds(self.steps)

    @property
    def median_seconds(self) -> float:
        """Over seeds."""
        return median_over_seeds(self.seconds)


def to_target(plan: Plan, seed: int) -> tuple[float, float]:
    """Train in a worker until the target; return the steps and the seconds of training."""
    data = worker_time.data()
    engine = Parallel(
        MLP(seed=seed), learning_rate=plan.learning_rate, average_every=plan.average_every
    )
    generator = torch.Generator().manual_seed(seed)
    walk = Walk(engine, data.train, plan.batch_size, generator=generator)
    last = trial.to_target(
        walk,
        data.test,
        plan.target,
        plan.expected_steps,
        budget=BUDGET,
        every=plan.average_every,
    )
    if last is None or last.accuracy < plan.target:
        return math.inf, math.inf
    return last.steps, last.seconds


def measure(
    crew: Crew,
    plans: Sequence[tuple[int, Plan]],
    seeds: Sequence[int],
    *,
    threads: int,
    tell: Callable[[str], object],
) -> list[Found]:
    """Let a crew that has loaded the data train each plan, beside its workers, with each seed.

    Seeds take turns, so that a busy minute meets all plans.
    """
    answers: dict[tuple[int, Plan], list[tuple[float, float]]] = {each: [] for each in plans}
    for number, (seed, (workers, plan)) in enumerate(product(seeds, plans), 1):
        tell(f"training {number} of {len(seeds) * len(plans)}: {workers} workers")
        crew.regroup(workers, threads=threads)
        steps, seconds = zip(*crew.ask(to_target, plan, seed), strict=True)
        answers[workers, plan].append((max(steps), max(seconds)))
    return [
        Found(
            workers=workers,
            plan=plan,
            steps=[steps for steps, _ in found],
            seconds=[seconds for _, seconds in found],
        )
        for (workers, plan), found in answers.items()
    ]
