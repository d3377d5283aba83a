"""How long a run will take, from short calls of each engine on this machine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench import cases
from bench.suite.workbench import Workbench, learning_steps
from mnist_mlp.batches import clamped, steps_per_epoch
from mnist_mlp.clock import shortest_seconds
from mnist_mlp.convergence import evaluation_steps
from mnist_mlp.evaluation import evaluate

# Batch size -> samples of a call; a network with batch normalization needs two in a batch.
SHORT_CALLS = {2: 60, 1024: 1024}
# Calls repeat for so long, and the shortest counts: threads of an earlier call may still spin.
REPEATED_SECONDS = 0.2
UNKNOWN_SECONDS = 1e-6  # stands for a call that failed
COMPILED, LIKE_COMPILED = "compiled", "eager"  # eager compiles nothing, and costs about as much
COMPILING_STEPS = 30_000  # loader steps that take as long as compiling from a cold cache
CASE_SECONDS = 0.4  # added to each case: a fresh engine, a floor, a place in the table
# Rough seconds of cases that are only part of a long run.
SECONDS_OF_AXES = dict.fromkeys(
    ("threads", "loading", "feeding", "alignment", "workers_step", "workers_epoch", "exchange"), 1.5
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What an engine costs: a step of B samples takes `step + B sample` seconds."""

    step: float
    sample: float
    evaluation: float

    def epoch(self, samples: int, batch_size: int) -> float:
        """Return the seconds of a pass over so many samples."""
        return steps_per_epoch(samples, batch_size) * self.step + samples * self.sample


class Forecast:
    """What each engine's steps cost here, and how many steps each case takes."""

    def __init__(self, workbench: Workbench) -> None:
        self.costs: dict[str, Cost] = {}  # engine -> cost, measured at the first use
        self._workbench = workbench
        self._options = workbench.options
        self._samples = len(workbench.task.train)

    def epoch_seconds(self, engine: str, batch_size: int) -> float:
        """Estimate the seconds of an epoch."""
        samples = self._options.epoch_samples or self._samples
        return self._cost(engine).epoch(samples, clamped(batch_size, self._samples))

    def seconds(self, chosen: Iterable[tuple[str, Mapping[str, Any]]]) -> float:
        """Forecast the seconds of cases that are given by verb and parameters."""
        listed = list(chosen)
        total = sum(CASE_SECONDS + self._case(verb, parameters) for verb, parameters in listed)
        if any(parameters.get("engine") == COMPILED for _, parameters in listed):
            total += COMPILING_STEPS * self._cost("loader").step
        return total

    def _case(self, verb: str, parameters: Mapping[str, Any]) -> float:
        if verb in SECONDS_OF_AXES:
            return SECONDS_OF_AXES[verb]
        size = clamped(parameters["batch_size"], self._samples)
        engine = parameters.get("engine", "loader")
        cost = self._cost(engine)
        part = cost.epoch(max(cases.MEMORY_SAMPLES, size), size)  # the untimed call for memory
        learning = cost.epoch(learning_steps(size) * size, size)
        match verb:
            case "step":
                step = cost.epoch(size, size)
                return step * (2 + 1.1 * cases.rounds(verb, step)) + learning
            case "epoch":
                epoch = self.epoch_seconds(engine, size)
                return 2 * part + epoch * cases.rounds(verb, epoch) + learning
            case "convergence":
                return part + self._training(cost, size, parameters)
            case _:  # peers take a few passes each
                one_pass = cost.epoch(min(self._samples, cases.peer_samples(size)), size)
                return one_pass * (1 + cases.PEER_ROUNDS)

    def _training(self, cost: Cost, size: int, parameters: Mapping[str, Any]) -> float:
        options = self._options
        per_epoch = steps_per_epoch(self._samples, size)
        budget: int = options.max_epochs * per_epoch
        expected = budget
        if not options.task:
            expected = cases.expected_steps(parameters["lr_rule"], size)
        is_first = parameters["seed"] == options.seeds[0]
        if expected > 2 * budget and not is_first and not options.full:
            return 0.0  # the suite leaves this seed out
        steps = min(expected, budget)
        grid = evaluation_steps(per_epoch, max_epochs=options.max_epochs)
        evaluations = sum(step <= steps for step in grid)
        return cost.epoch(steps * size, size) + evaluations * cost.evaluation

    def _cost(self, engine: str) -> Cost:
        if engine == COMPILED:
            engine = LIKE_COMPILED
        if engine not in self.costs:
            self.costs[engine] = self._measured(engine)
        return self.costs[engine]

    def _measured(self, name: str) -> Cost:
        engine, task = self._workbench.new_engine(name), self._workbench.task
        per_sample = []
        for size, samples in SHORT_CALLS.items():
            part, order = task.train.head(samples), self._workbench.places(samples)
            engine.prepare(size, part)
            call = partial(engine.run, part, order, size)
            try:
                seconds = shortest_seconds(call, for_seconds=REPEATED_SECONDS)
            except Exception:  # noqa: BLE001 - the cases will name what the user's network raises
                seconds = UNKNOWN_SECONDS
            per_sample.append(seconds / len(order))
        return Cost(
            step=max(0.0, min(SHORT_CALLS) * (per_sample[0] - per_sample[1])),
            sample=per_sample[1],
            evaluation=shortest_seconds(partial(evaluate, engine, task.test), for_seconds=0),
        )
