"""Seconds per training step at each batch size, all measured in the same minute.

Batch sizes take turns of some milliseconds. All of an engine's sizes train one network on the same
images, so that they share their place in memory. Some fresh processes take rounds alternately. They
are the replicates, since each has its own memory. All use the forms of a step that the first
process chose, since a trial of forms takes as long as all turns.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from bench.measure.processes import fresh
from bench.measure.turns import Draw
from mnist_mlp import device, engines
from mnist_mlp.batches import shuffled
from mnist_mlp.clock import stopwatch
from mnist_mlp.engines.engine import Engine
from mnist_mlp.engines.native import forms
from mnist_mlp.engines.native.native import CHOSEN, Native, Question
from mnist_mlp.engines.native.steps import Form
from mnist_mlp.task_source import Source

VISITS = 3  # visits to each process, for some rounds each
TURN_SECONDS = 0.02  # long compared with the fixed cost of an engine's call
LEAD_IN = 0.2  # share of a turn, run untimed before it: threads of the last turn come to rest


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An engine and a batch size, which take turns with other subjects."""

    engine: str
    batch_size: int
    copy: int = 0  # tells a control from its twin: both are timed, in turns of their own


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all subjects of a measurement share."""

    threads: int
    source: Source = field(default_factory=Source)  # the task to train
    turn_samples: int | None = None  # rough samples per turn, instead of turn_seconds
    turn_seconds: float = TURN_SECONDS  # rough: at least a step, at most an epoch
    form_of: int | None = None  # batch size whose form of a step all use; None: each its own


# Subject -> process -> seconds per step of its turn in each round.
StepSeconds = Mapping[Subject, Sequence[Sequence[float]]]


def measure(
    subjects: Sequence[Subject],
    setting: Setting,
    *,
    seconds: float,
    processes: int,
    tell: Callable[[str], object] = lambda _: None,
    meanwhile: Callable[[StepSeconds], object] = lambda _: None,
) -> StepSeconds:
    """Time the subjects' steps.

    Args:
        subjects: what to time.
        setting: what the subjects share.
        seconds: measuring time of all processes together, without the time to start them.
        processes: number of processes; each takes some rounds, however long a round is.
        tell: called with a line on the progress.
        meanwhile: called before the last visits, with the times so far. So what it trains runs
            between turns, in the same minute.

    """
    draw = Draw()
    timed: dict[Subject, list[list[float]]] = {
        subject: [[] for _ in range(processes)] for subject in subjects
    }
    with fresh(processes, _begin, subjects, setting) as pools:
        tell("starting processes")
        for loaded in [pool.submit(_call, MeasuringProcess.load) for pool in pools]:
            loaded.result()
        round_seconds, chosen = 0.0, dict[Question, Form]()
        for number, pool in enumerate(pools, 1):
            tell(f"preparing process {number} of {processes}")
            process_seconds, chosen = pool.submit(_call, MeasuringProcess.prepare, chosen).result()
            round_seconds += process_seconds
        CHOSEN.update(chosen)  # later trainings in this process use the same forms
        rounds = max(1, round(seconds / VISITS / round_seconds))
        for visits, (part, process) in enumerate(draw.rounds(range(processes), VISITS)):
            if visits == processes * (VISITS - 1):
                meanwhile(timed)
            tell(f"timing steps, part {part} of {VISITS}")
            visit = pools[process].submit(_call, MeasuringProcess.visit, rounds)
            for subject, turns in visit.result().items():
                timed[subject][process] += turns
    return timed


class MeasuringProcess:
    """The subjects in one process, and the steps of their turns."""

    def __init__(self, subjects: Sequence[Subject], setting: Setting, number: int) -> None:
        self.subjects = list(subjects)
        self.setting = setting
        self.draw = Draw(number)
        self.generator = torch.Generator().manual_seed(number)
        self.engines: dict[str, Engine] = {}
        self.steps: dict[Subject, int] = {}
        self._order = torch.empty(0, dtype=torch.int64)

    def load(self) -> None:
        """Load the samples to train on."""
        device.use(self.setting.source.device)
        self.task = self.setting.source.load()
        self.split = self.task.train

    def prepare(self, chosen: Mapping[Question, Form]) -> tuple[float, dict[Question, Form]]:
        """Prepare the engines, with the forms of a step that another process chose, if any.

        Returns a round's seconds, and all forms chosen so far.
        """
        CHOSEN.update(chosen)
        for subject in self.subjects:
            if subject.engine not in self.engines:
                self.engines[subject.engine] = self._new_engine(subject.engine)
            self._seconds(subject, 1)  # compiles, chooses a form, or imports
            self.steps[subject] = self._steps_of_a_turn(subject)
        started = time.perf_counter()
        self.visit(1)
        return time.perf_counter() - started, dict(CHOSEN)

    def _new_engine(self, name: str) -> Engine:
        engine = engines.new(name, self.task)
        if not (self.setting.form_of and isinstance(engine, Native)):
            return engine
        size = self.setting.form_of
        engine.run(self.split, torch.arange(min(size, len(self.split))), size)
        (form,) = (
            form
            for form in forms.available(torch.get_num_threads())
            if (form.name, form.threads) == (engine.form, engine.form_threads)
        )
        return engines.new(name, self.task, form=form)

    def _steps_of_a_turn(self, subject: Subject) -> int:
        most = max(1, len(self.split) // subject.batch_size)
        wanted = self.setting.turn_seconds
        if self.setting.turn_samples:
            return min(max(1, round(self.setting.turn_samples / subject.batch_size)), most)
        steps, seconds = 1, self._seconds(subject, 1)
        while seconds < wanted / 2 and steps < most:
            steps = min(2 * steps, most)
            seconds = self._seconds(subject, steps)
        return min(max(1, round(steps * wanted / seconds)), most)

    def visit(self, rounds: int) -> dict[Subject, list[float]]:
        """Return the seconds per step of each subject's turn in each round."""
        return self.draw.turns(self.subjects, self._turn, rounds)

    def _turn(self, subject: Subject) -> float:
        steps = self.steps[subject]
        self._seconds(subject, max(1, round(LEAD_IN * steps)))
        return self._seconds(subject, steps) / steps

    def _seconds(self, subject: Subject, steps: int) -> float:
        samples = self._next(steps * subject.batch_size)
        started = stopwatch()
        self.engines[subject.engine].run(self.split, samples, subject.batch_size)
        return stopwatch() - started

    def _next(self, samples: int) -> torch.Tensor:
        """Return the next so many samples of a random order, as an epoch would take them."""
        samples = min(samples, len(self.split))
        if len(self._order) < samples:
            self._order = shuffled(len(self.split), generator=self.generator)
        taken, self._order = self._order[:samples], self._order[samples:]
        return taken


_process: MeasuringProcess


def _begin(subjects: Sequence[Subject], setting: Setting, number: int) -> None:
    global _process  # noqa: PLW0603 - a measuring process has one
    torch.set_num_threads(setting.threads)
    _process = MeasuringProcess(subjects, setting, number)


def _call(method: Callable[..., Any], *arguments: Any) -> Any:
    return method(_process, *arguments)
