"""A crew: fresh processes that train as one group of workers, and answer requests together.

pytest stays one process, and starting workers is never timed.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measure import worker
from bench.measure.processes import fresh
from mnist_mlp import memory
from mnist_mlp.errors import UserError
from mnist_mlp.workers.first_cause import LostError

PATIENCE_SECONDS = 120.0  # longest wait for workers to start, and for an answer


@dataclass(kw_only=True)
class Crew:
    """Workers that get requests together; the workers in the group exchange gradients."""

    pools: Sequence[ProcessPoolExecutor]  # each with one worker, by rank
    patience_seconds: float
    size: int = 0  # number of workers in the group, the lowest ranks
    _kills: int = field(default_factory=memory.kills)  # count at the start
    _groups: int = 0

    def regroup(self, size: int, *, threads: int = 1) -> None:
        """Form a group of the first `size` workers, each computing on so many threads."""
        self._groups += 1
        self.size = len(self.pools)
        self.ask(worker.regroup, size, threads, self._groups)
        self.size = size

    def ask(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Let every worker of the group call a function; return the results by rank.

        The result must be no tensor: torch would share its memory with this process.

        Raises:
            UserError: a worker raised, died or does not answer; the message names it.

        """
        answers: list[Future[Any]] = []
        for rank, pool in enumerate(self.pools[: self.size]):
            try:
                answers.append(pool.submit(function, *arguments))
            except BrokenProcessPool as error:  # the worker died earlier
                raise UserError(self._sentence(rank, error)) from error
        wait(answers, self.patience_seconds)
        failures = []
        for rank, answer in enumerate(answers):
            if not answer.done():
                patience = f"{self.patience_seconds:g} s"
                failures.append((False, f"rank {rank} did not answer for {patience}: it is stuck"))
            elif failure := answer.exception():
                failures.append((isinstance(failure, LostError), self._sentence(rank, failure)))
        if failures:  # a worker that only lost contact to another is not the cause
            raise UserError(min(failures, key=lambda failure: failure[0])[1])
        return [answer.result() for answer in answers]

    def _sentence(self, rank: int, error: BaseException) -> str:
        if isinstance(error, BrokenProcessPool):
            return f"rank {rank} died" + ", since memory ran out" * (memory.kills() > self._kills)
        return f"rank {rank} failed: {type(error).__name__}: {error}"


@contextmanager
def started(workers: int, *, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[Crew]:
    """Start so many workers, and end them when the body of the `with` ends."""
    with (
        tempfile.TemporaryDirectory(prefix="crew-") as folder,
        fresh(workers, worker.begin, Path(folder) / "store", workers) as pools,
    ):
        crew = Crew(pools=pools, patience_seconds=patience_seconds)
        crew.regroup(workers)
        yield crew
