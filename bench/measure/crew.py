"""Worker processes that live as long as they are needed, and do together what they are asked to.

torch's elastic launcher starts them in a process of its own, as torchrun would. Each is driven over
a socket, so that pytest stays one process and starting workers is never timed.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.measure import worker
from mnist_mlp import memory
from mnist_mlp.errors import UserError

PATIENCE_SECONDS = 120.0  # for workers to start, and for an answer
POLL_SECONDS = 0.5
ENDING_SECONDS = 2.0  # for the workers to end by themselves
LAST_WORDS = 3  # lines of what a dead crew wrote


class CrewError(UserError):
    """The workers do not start, do not answer, or one of them failed; the message says which."""


@dataclass(kw_only=True)
class Crew:
    """Workers that are asked together; those in the group exchange with each other."""

    connections: Sequence[Connection]  # with each rank
    words: Path  # what the workers write
    patience_seconds: float
    size: int = 0  # of the group: the first so many workers
    kills: int = field(default_factory=memory.kills)  # before they worked
    _groups: int = 0

    def regroup(self, size: int, *, threads: int = 1) -> None:
        """Let the first `size` workers be the group, each computing on so many threads.

        Raises:
            CrewError: see there.

        """
        self._groups += 1
        self.size = len(self.connections)
        self.ask(worker.regroup, size, threads, self._groups)
        self.size = size

    def ask(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Let every worker of the group call a function; return what each one's returns.

        Raises:
            CrewError: a worker raised, died or does not answer.

        """
        chosen = self.connections[: self.size]
        for connection in chosen:
            with suppress(OSError):
                # Without multiprocessing's own pickler, by which torch would share tensors' memory.
                connection.send_bytes(pickle.dumps((function, arguments)))
        answers = [self._answer(rank, connection) for rank, connection in enumerate(chosen)]
        failures = [
            (*answer, rank) for rank, (is_well, answer) in enumerate(answers) if not is_well
        ]
        for _, sentence, rank in sorted(failures):  # first those that have not merely lost another
            raise CrewError(f"rank {rank} failed: {sentence}")
        return [answer for _, answer in answers]

    def _answer(self, rank: int, connection: Connection) -> tuple[bool, Any]:
        try:
            if connection.poll(self.patience_seconds):
                answer: tuple[bool, Any] = pickle.loads(connection.recv_bytes())  # noqa: S301
                return answer
        except (EOFError, OSError):
            why = ", since memory ran out" * (memory.kills() > self.kills)
            last_words = _last_words(self.words)
            raise CrewError(f"rank {rank} died{why}; last words: {last_words}") from None
        raise CrewError(f"rank {rank} did not answer for {self.patience_seconds:g} s: it is stuck")


@contextmanager
def started(workers: int, *, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[Crew]:
    """Start so many workers, and end them when the body of the `with` ends.

    Raises:
        CrewError: they do not start.

    """
    with tempfile.TemporaryDirectory(prefix="crew-") as folder, ExitStack() as stack:
        address, words = Path(folder) / "socket", Path(folder) / "words"
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(address))
        listener.listen(workers)
        launcher = _launched(workers, address, words)
        stack.callback(_end, launcher)
        connections = {}
        for _ in range(workers):
            connection = stack.enter_context(_accepted(listener, launcher, words, patience_seconds))
            connections[connection.recv()] = connection
        crew = Crew(
            connections=[connections[rank] for rank in range(workers)],
            words=words,
            patience_seconds=patience_seconds,
        )
        crew.regroup(workers)
        yield crew


def _launched(workers: int, address: Path, words: Path) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(filter(None, sys.path))
    with words.open("w") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "bench.measure.crew_launcher", str(address), str(workers)],
            # What the launcher leaves behind is removed with the folder.
            env=os.environ | {"PYTHONPATH": paths, "TMPDIR": str(address.parent)},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the others
        )


def _accepted(
    listener: socket.socket,
    launcher: subprocess.Popen[bytes],
    words: Path,
    patience_seconds: float,
) -> Connection:
    """Wait for a worker to connect."""
    listener.settimeout(POLL_SECONDS)
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline and launcher.poll() is None:
        with suppress(TimeoutError):
            connection, _ = listener.accept()
            connection.setblocking(True)  # noqa: FBT003
            return Connection(connection.detach())
    raise CrewError(f"the workers do not start; last words: {_last_words(words)}")


def _last_words(words: Path) -> str:
    lines = words.read_text(errors="replace").strip().splitlines()[-LAST_WORDS:]
    return "; ".join(line.strip() for line in lines) or "none"


def _end(launcher: subprocess.Popen[bytes]) -> None:
    """Wait for the launcher, whose workers end when nobody asks them any more; or kill them all."""
    with suppress(subprocess.TimeoutExpired):
        launcher.wait(ENDING_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
