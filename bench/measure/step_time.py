"""Seconds of a training step at each batch size, all of them measured beside each other.

Batch sizes take turns of some milliseconds in an order drawn anew for each round, so that a busy
minute of the machine meets them all. Some fresh processes take rounds alternately: each has its own
memory, and chooses anew what an engine chooses when it starts. They are the replicates.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from bench.measure.processes import fresh
from mnist_mlp import datasets, device, engines
from mnist_mlp.batches import shuffled
from mnist_mlp.clock import stopwatch
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Engine
from mnist_mlp.model import MLP

PROCESSES = 4
VISITS = 3  # to each process, in each of which it makes some rounds
TURN_SECONDS = 0.02  # long beside what one call of an engine costs, whatever its steps
LEAD_IN = 0.2  # of a turn, made untimed before it: threads of the last turn come to rest


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What takes a turn."""

    engine: str
    batch_size: int
    copy: int = 0  # tells a subject from the one that it is the control of


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all subjects share."""

    threads: int
    device: str = "cpu"
    turn_samples: int | None = None  # of each turn, roughly; else as many as its seconds allow
    form_of: int | None = None  # batch size whose form of a step all take; else each its fastest
    data_root: Path | None = None
    cache_dir: Path | None = None


# Subject -> process -> seconds a step of its turn in each round.
StepSeconds = Mapping[Subject, Sequence[Sequence[float]]]


def measure(
    subjects: Sequence[Subject],
    setting: Setting,
    *,
    seconds: float,
    processes: int = PROCESSES,
    turn_seconds: float = TURN_SECONDS,
    tell: Callable[[str], object] = lambda _: None,
) -> StepSeconds:
    """Time the subjects' steps.

    Args:
        subjects: each engine with a batch size.
        setting: what they share.
        seconds: of measuring, in all processes together; starting them comes on top.
        processes: how many; some rounds of each are made whatever they take.
        turn_seconds: of a turn, roughly; one step or one epoch where that is the nearest.
        tell: is called with what is going on.

    Raises:
        ProcessError: a process ended early.
        CacheError, DataError, UnavailableError: as in the process.

    """
    draw = random.Random(0)  # noqa: S311 - an order keeps no secret
    found: dict[Subject, list[list[float]]] = {
        subject: [[] for _ in range(processes)] for subject in subjects
    }
    with fresh(processes, _begin, subjects, setting, turn_seconds) as workers:
        tell("starting processes")
        for loaded in [worker.submit(_load) for worker in workers]:
            loaded.result()
        round_seconds = []
        for number, worker in enumerate(workers, 1):
            tell(f"preparing process {number} of {processes}")
            round_seconds.append(worker.submit(_prepare).result())
        rounds = max(1, round(seconds / VISITS / sum(round_seconds)))
        for visit in range(1, VISITS + 1):
            for process in draw.sample(range(processes), processes):
                tell(f"timing steps, part {visit} of {VISITS}")
                for subject, turns in workers[process].submit(_visit, rounds).result().items():
                    found[subject][process] += turns
    return found


class _Turns:
    """The subjects of one process, and the steps of their turns."""

    def __init__(
        self, subjects: Sequence[Subject], setting: Setting, turn_seconds: float, number: int
    ) -> None:
        self.subjects = list(subjects)
        self.setting = setting
        self.turn_seconds = turn_seconds
        self.random = random.Random(number)  # noqa: S311
        self.generator = torch.Generator().manual_seed(number)
        self.steps: dict[Subject, int] = {}
        self._order = torch.empty(0, dtype=torch.int64)

    @cached_property
    def split(self) -> Split:
        """The samples to train on."""
        setting = self.setting
        device.use(setting.device)
        data = datasets.load(
            data_root=setting.data_root, cache_dir=setting.cache_dir, device=setting.device
        )
        return data.train

    @cached_property
    def engines(self) -> dict[str, Engine]:
        """One of each kind."""
        return {
            name: engines.load(name)(MLP(seed=0).to(self.setting.device), learning_rate=0.1)
            for name in dict.fromkeys(subject.engine for subject in self.subjects)
        }

    def prepare(self) -> float:
        """Let engines get ready, find how many steps a turn takes, return a round's seconds."""
        if self.setting.form_of:
            for engine in self.engines.values():
                engine.keep_form(self.setting.form_of, self.split)
        for subject in self.subjects:
            self._seconds(subject, 1)  # compiles, chooses a form, or imports
            self.steps[subject] = self._steps_of_a_turn(subject)
        started = time.perf_counter()
        self.round()
        return time.perf_counter() - started

    def _steps_of_a_turn(self, subject: Subject) -> int:
        most = max(1, len(self.split) // subject.batch_size)
        if self.setting.turn_samples:
            return min(max(1, round(self.setting.turn_samples / subject.batch_size)), most)
        steps, seconds = 1, self._seconds(subject, 1)
        while seconds < self.turn_seconds / 2 and steps < most:
            steps = min(2 * steps, most)
            seconds = self._seconds(subject, steps)
        return min(max(1, round(steps * self.turn_seconds / seconds)), most)

    def round(self) -> dict[Subject, float]:
        """Return the seconds a step of each subject's turn."""
        found = {}
        for subject in self.random.sample(self.subjects, len(self.subjects)):
            steps = self.steps[subject]
            self._seconds(subject, max(1, round(LEAD_IN * steps)))
            found[subject] = self._seconds(subject, steps) / steps
        return found

    def _seconds(self, subject: Subject, steps: int) -> float:
        samples = self._next(steps * subject.batch_size)
        started = stopwatch()
        self.engines[subject.engine].run(self.split, samples, subject.batch_size)
        return stopwatch() - started

    def _next(self, samples: int) -> torch.Tensor:
        """The next so many samples of a random order, as an epoch would take them."""
        samples = min(samples, len(self.split))
        if len(self._order) < samples:
            self._order = shuffled(len(self.split), generator=self.generator)
        taken, self._order = self._order[:samples], self._order[samples:]
        return taken


_turns: _Turns


def _begin(subjects: Sequence[Subject], setting: Setting, turn_seconds: float, number: int) -> None:
    global _turns  # noqa: PLW0603 - a worker process has one
    torch.set_num_threads(setting.threads)
    _turns = _Turns(subjects, setting, turn_seconds, number)


def _load() -> None:
    _turns.split  # noqa: B018 - loads it
    _turns.engines  # noqa: B018


def _prepare() -> float:
    return _turns.prepare()


def _visit(rounds: int) -> dict[Subject, list[float]]:
    found: dict[Subject, list[float]] = {subject: [] for subject in _turns.subjects}
    for _ in range(rounds):
        for subject, seconds in _turns.round().items():
            found[subject].append(seconds)
    return found
