"""How long a run will take, from a first short call of each engine on this machine."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from bench import cases
from bench.suite.workbench import Workbench, learning_steps
from mnist_mlp.batches import steps_per_epoch
from mnist_mlp.convergence import evaluation_steps
from mnist_mlp.engines.engine import Engine
from mnist_mlp.evaluation import evaluate

SINGLES = 50  # steps of one sample, and one step of FULL, make a short call
FULL = 1024
CASE_SECONDS = 0.4  # of every case: a fresh engine, a floor, a place in the table
COMPILING_SINGLES = 30_000  # of the loader take about as long as compiling from a cold cache
STARTING = 2.0  # times the seconds of alignment's turns are its processes and its turns
WORKERS_VERBS = {"workers_step", "workers_epoch", "exchange"}
WORKERS_CASE_SECONDS = 1.5
UNCOMPILED = "eager"  # costs about what the compiled engine does


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What steps of an engine cost: a step of B samples takes `step + B sample` seconds."""

    step: float
    sample: float

    def epoch(self, samples: int, batch_size: int) -> float:
        """Seconds of a pass over so many samples."""
        return steps_per_epoch(samples, batch_size) * self.step + samples * self.sample


class Forecast:
    """Knows what each engine's steps cost here, and what a case is made of."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench
        self.samples = len(workbench.data.train)
        self._costs: dict[str, Cost] = {}
        engine = workbench.new_engine("eager")
        evaluate(engine.logits, workbench.data.test)
        self._evaluation_seconds = _seconds(lambda: evaluate(engine.logits, workbench.data.test))

    def seconds(self, chosen: Iterable[tuple[str, Mapping[str, Any]]]) -> float:
        """Forecast cases that are given by verb and parameters."""
        listed = list(chosen)
        total = sum(CASE_SECONDS + self._case(verb, parameters) for verb, parameters in listed)
        if any(parameters.get("engine") == "compiled" for _, parameters in listed):
            total += COMPILING_SINGLES * self._cost("loader").step
        return total

    def _case(self, verb: str, parameters: Mapping[str, Any]) -> float:
        cost = self._cost(parameters.get("engine", "loader"))
        size = min(parameters.get("batch_size", cases.AXIS_BATCH_SIZE), self.samples)
        if verb == "convergence":
            memory = cost.epoch(max(cases.MEMORY_SAMPLES, size), size)
            return memory + self._convergence(cost, size, parameters)
        if verb in {"step", "epoch"}:
            learning = cost.epoch(learning_steps(size) * size, size)
            return learning + self._timed(verb, cost, size)
        if verb == "alignment":
            return STARTING * cases.ALIGNMENT_SECONDS / len(cases.NEIGHBOURS)
        if verb == "threads":
            return 3 * cost.epoch(self.samples, size)
        if verb in {"loading", "feeding", *WORKERS_VERBS}:
            fed = cost.epoch(cases.FED_SAMPLES, size)
            return WORKERS_CASE_SECONDS if verb in WORKERS_VERBS else fed
        turn = cost.epoch(min(self.samples, size * cases.PEER_STEPS), size)  # of the peers
        return turn * (1 + cases.PEER_ROUNDS)

    def _timed(self, verb: str, cost: Cost, size: int) -> float:
        """Seconds of a step's or an epoch's rounds, and of the call for memory."""
        if verb == "step":
            call = cost.epoch(size, size)
            return call * cases.rounds(verb, call)
        call = cost.epoch(self.workbench.options.epoch_samples or self.samples, size)
        memory = cost.epoch(max(cases.MEMORY_SAMPLES, size), size)
        return memory + call * cases.rounds(verb, call)

    def _convergence(self, cost: Cost, size: int, parameters: Mapping[str, Any]) -> float:
        options = self.workbench.options
        expected = cases.expected_steps(parameters["lr_rule"], size)
        budget = options.max_epochs * steps_per_epoch(self.samples, size)
        if expected > 2 * budget and parameters["seed"] != options.seeds[0]:
            return 0.0  # is left out
        steps = min(expected, budget)
        grid = evaluation_steps(steps_per_epoch(self.samples, size), max_epochs=options.max_epochs)
        evaluations = sum(step <= steps for step in grid)
        return cost.epoch(steps * size, size) + evaluations * self._evaluation_seconds

    def _cost(self, engine: str) -> Cost:
        if engine == "compiled":
            engine = UNCOMPILED
        if engine not in self._costs:
            self._costs[engine] = self._measure(self.workbench.new_engine(engine))
        return self._costs[engine]

    def _measure(self, engine: Engine) -> Cost:
        train = self.workbench.data.train
        seconds = {}
        for size, samples in ((1, SINGLES), (FULL, FULL)):
            part, order = train.head(samples), torch.arange(min(samples, len(train)))
            engine.prepare(size, part)
            engine.run(part, order[:size], size)
            seconds[size] = _seconds(lambda: engine.run(part, order, size)) / len(order)  # noqa: B023
        return Cost(step=max(0.0, seconds[1] - seconds[FULL]), sample=seconds[FULL])


def _seconds(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
