"""Carries out trainings in separate processes, several at a time: their seconds are not used."""

import math
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.best import trial
from bench.best.ledger import Ledger
from bench.best.trial import Outcome, Trial
from bench.measure.processes import fresh
from mnist_mlp import device, memory
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.task import Task
from mnist_mlp.task_source import Source

CAP = 2.0  # a training ends at this multiple of the fewest steps of its race
OWN_SHARE = 2  # memory of a training process, as a multiple of this process's


class TimeUpError(Exception):
    """The time is up; the trainings that had ended are kept."""


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """Trainings that were made before, and processes that make more."""

    ledger: Ledger
    pools: Sequence[ProcessPoolExecutor]
    most_steps: Any  # limit of each training, a number that the processes share
    deadline: float  # clock: time.monotonic

    def __call__(
        self,
        trials: Iterable[Trial],
        *,
        most_steps: float = math.inf,
        is_race: bool = True,
        deadline: float = math.inf,
    ) -> list[Outcome]:
        """Return the outcomes of trainings, in their order; make those that were not made yet.

        Args:
            trials: what to train.
            most_steps: a training that has taken more ends.
            is_race: a training that has taken `CAP` times the fewest steps of the race ends, too.
            deadline: an earlier deadline than that of all trainings.

        Raises:
            TimeUpError: the deadline has passed.
            UnavailableError: a training cannot be carried out.

        """
        wanted, known = list(trials), self.ledger.outcomes
        deadline = min(deadline, self.deadline)
        missing = [each for each in dict.fromkeys(wanted) if each not in known]
        self.most_steps.value = most_steps
        running: dict[Future[Outcome | None], tuple[ProcessPoolExecutor, Trial]] = {}
        idle = list(self.pools)
        while missing or running:
            if is_race:
                fewest = min(
                    (known[each].steps_to_target for each in wanted if each in known),
                    default=math.inf,
                )
                self.most_steps.value = min(most_steps, CAP * fewest)
            is_late = time.monotonic() >= deadline
            if is_late and not running:
                raise TimeUpError
            while idle and missing and not is_late:
                pool, next_trial = idle.pop(), missing.pop(0)
                running[pool.submit(_train, next_trial, deadline)] = pool, next_trial
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                pool, ended_trial = running.pop(ended)
                idle.append(pool)
                if outcome := ended.result():
                    self.ledger.add(ended_trial, outcome)
        if any(each not in known for each in wanted):
            raise TimeUpError
        return [known[each] for each in wanted]


@contextmanager
def started(
    source: Source, task: Task, engine: str, ledger: Ledger, *, max_epochs: int, deadline: float
) -> Iterator[Trainings]:
    """Start a process for each core that there is memory for; a GPU gets a single process."""
    cores = memory.usable_cores()
    free, own = memory.free_bytes(), OWN_SHARE * memory.own_bytes()
    count = 1 if device.is_gpu(task.train.device) else cores
    if free is not None and own:
        count = max(1, min(count, free // own))
    most_steps = multiprocessing.get_context("forkserver").Value("d", math.inf)
    begin = source, engine, task.target, max_epochs, cores // count, most_steps
    with fresh(count, _begin, *begin) as pools:
        yield Trainings(ledger=ledger, pools=pools, most_steps=most_steps, deadline=deadline)


_task: Task
_engine: str
_max_epochs: int
_most_steps: Any


def _begin(  # noqa: PLR0917 - a process begins with what a tuple holds
    source: Source,
    engine: str,
    target: float,
    max_epochs: int,
    threads: int,
    most_steps: Any,
    number: int,  # noqa: ARG001 - the number of this process
) -> None:
    global _task, _engine, _max_epochs, _most_steps  # noqa: PLW0603 - a process has one of each
    torch.set_num_threads(threads)
    device.use(source.device)
    _task = replace(source.load(), target=target)
    _engine, _max_epochs, _most_steps = engine, max_epochs, most_steps


def _train(chosen: Trial, deadline: float) -> Outcome | None:
    try:
        return trial.run(
            chosen,
            _task,
            _engine,
            max_epochs=_max_epochs,
            most_steps=lambda: float(_most_steps.value),
            is_over=lambda: time.monotonic() >= deadline,
        )
    except Exception as error:  # whatever the user's network raises
        raise UnavailableError(f"{type(error).__name__}: {error}".splitlines()[0]) from error
