"""Versions of the code, each in a process of its own, taking turns on the same core."""

import json
import os
import random
import select
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self, cast

from bench.cases import Case
from bench.gate import PROTOCOL

TURN_SECONDS = 0.002
CASE_SECONDS = 0.3  # of turns, a version
FEWEST_TURNS = 40
WARM_UP_TURNS = 3
PATIENCE_SECONDS = 120  # for an answer; a busy machine takes long to import torch
LAST_WORDS = 3  # lines of a dead worker's standard error

# Waiting threads must sleep: they wait on the core that the other version computes on.
QUIET_OPENMP = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
# See worker.py, which needs them from the start.
STEADY_MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}


class WorkerError(Exception):
    """A version that cannot be measured: it does not start, it died, or it does not answer."""


class CaseError(Exception):
    """A case raised in one version."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """Code to measure, and the Python to measure it with."""

    name: str
    tree: Path  # a checkout of this repository
    python: str


class Worker:
    """One version's process: a server that imports once and forks for every duet."""

    def __init__(self, version: Version, *, threads: int) -> None:
        self.version = version
        self.hello: dict[str, Any] = {}
        if not (version.tree / "bench" / "gate" / "worker.py").is_file():
            raise WorkerError(f"{version.name} is older than the gate: it has no worker to run")
        self._last_words = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = (
            os.environ | QUIET_OPENMP | STEADY_MALLOC | dict.fromkeys(counts, str(threads))
        )
        environment["PYTHONPATH"] = f"{version.tree / 'src'}{os.pathsep}{version.tree}"
        try:
            self._process = subprocess.Popen(
                [version.python, "-m", "bench.gate.worker"],
                cwd=version.tree,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._last_words,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the gate, which then ends its workers
            )
        except OSError as error:
            self._last_words.close()
            raise WorkerError(f"{version.name}: cannot run {version.python}: {error}") from error
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the server and its fork."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._last_words.close()

    def greet(self) -> None:
        """Wait until the worker has imported its tree and described itself."""
        self.hello = hello = self._answer()
        if hello["protocol"] != PROTOCOL:
            raise WorkerError(
                f"{self.version.name} speaks the gate's protocol {hello['protocol']}, this gate "
                f"speaks {PROTOCOL}: compare with a revision that speaks the same"
            )
        package = Path(hello["package"])
        if not package.is_relative_to(self.version.tree.resolve()):
            raise WorkerError(f"{self.version.name} ran {package}, not {self.version.tree}'s code")

    def fork(self, *, cores: Sequence[int], seed: int) -> None:
        """Go on in a fresh process, on these cores, its data somewhere else in memory."""
        self._ask(do="fork", cores=list(cores), seed=seed)

    def end(self) -> None:
        """End the fresh process."""
        self._ask(do="end")

    def turn(self, case: Case, *, units: int) -> float:
        """Do the case's work `units` times: seconds a unit."""
        return float(self._ask(do="turn", case=asdict(case), units=units)["result"])

    def peak_bytes(self, case: Case) -> int:
        """The peak memory of one call."""
        return int(self._ask(do="peak", case=asdict(case))["result"])

    def losses(self, case: Case) -> list[float]:
        """The losses of the first steps from a fixed seed."""
        return list(self._ask(do="losses", case=asdict(case))["result"])

    def _ask(self, **request: object) -> dict[str, Any]:
        with suppress(BrokenPipeError):  # the answer tells why it died
            self._requests.write(json.dumps(request).encode() + b"\n")
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._answers], [], [], PATIENCE_SECONDS)
            if not ready:
                raise self._dead(f"did not answer for {PATIENCE_SECONDS} s")
            piece = self._answers.read(1 << 20)
            if not piece:
                raise self._dead(f"died ({_how_it_ended(self._process.wait())})")
            line += piece
        answer: dict[str, Any] = json.loads(line)
        if "died" in answer:
            raise self._dead(f"died ({_how_it_ended(answer['died'])})")
        if "error" in answer:
            raise CaseError(f"raises in {self.version.name}: {answer['error']}")
        return answer

    def _dead(self, how: str) -> WorkerError:
        self._last_words.seek(0)
        lines = self._last_words.read().decode(errors="replace").strip().splitlines()
        words = "; ".join(line.strip() for line in lines[-LAST_WORDS:]) or "nothing"
        return WorkerError(f"the {self.version.name} worker {how}; its last words: {words}")


def _how_it_ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


@contextmanager
def company(versions: Sequence[Version], *, threads: int) -> Iterator[list[Worker]]:
    """Start a worker a version, all at once, and end them afterwards, whatever happens.

    Raises:
        WorkerError: one doesn't start, or runs other code than its tree's.

    """
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(version, threads=threads)) for version in versions]
        for worker in workers:
            worker.greet()
        yield workers


@contextmanager
def fresh(workers: Sequence[Worker], cores: Sequence[int], rng: random.Random) -> Iterator[None]:
    """Let every worker go on in a fresh process."""
    for worker in rng.sample(workers, len(workers)):
        worker.fork(cores=cores, seed=rng.getrandbits(32))
    yield
    for worker in workers:
        worker.end()


def take_turns(workers: Sequence[Worker], case: Case, rng: random.Random) -> list[list[float]]:
    """Seconds a unit of the case's work, a list a worker: one value a turn.

    Raises:
        CaseError: the case raises in one version.
        WorkerError: a worker died.

    """
    for _ in range(WARM_UP_TURNS):
        slowest_seconds = max(worker.turn(case, units=1) for worker in workers)
    units = max(1, round(TURN_SECONDS / slowest_seconds))
    turns = max(FEWEST_TURNS, round(CASE_SECONDS / (units * slowest_seconds)))
    seconds: list[list[float]] = [[] for _ in workers]
    for _ in range(turns):
        for index in rng.sample(range(len(workers)), len(workers)):
            seconds[index].append(workers[index].turn(case, units=units))
    return seconds
