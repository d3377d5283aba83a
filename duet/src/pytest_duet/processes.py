"""Fresh processes of the versions for every pair: how they are started, asked and ended."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import Pipe, reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from pytest_duet import IncomparableError
from pytest_duet.duet_server.channel import Channel
from pytest_duet.trees import Version

OURS = Path(__file__).parent  # holds the package that runs in a version's interpreter
PATIENCE_SECONDS = 120.0  # longest wait for an answer; imports are slow on a busy machine
LAST_LINES = 3  # lines shown of a dead process's output
# Code for `python -c`: the version's folders are imported from first, ours only for one import.
START = (
    "import sys; sys.path[:0] = sys.argv[3:]; sys.path.append(sys.argv[1]); "
    "from duet_server.server import main; sys.path.remove(sys.argv[1]); main(sys.argv[2])"
)
# Waiting threads must sleep, because they share a core with the version that computes.
QUIET_OPENMP = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
# glibc keeps freed memory or not, depending on what lies above it: one process in thirty was 10 %
# slower throughout. If memory is always kept, processes of equal code are equally fast.
STEADY_MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}
THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Process:
    """A process of a version, in which the cases of one pair run."""

    def __init__(
        self, name: str, number: int, output: Path, channel: Channel, wait: Callable[[], int]
    ) -> None:
        self.name = name
        self._number = number
        self._output = output
        self._channel = channel
        self._wait = cache(wait)

    def send(self, **request: object) -> None:
        """Send a request without waiting for its answer."""
        with suppress(OSError):  # `answer` says why a process died
            self._channel.send(**request)

    def ask(self, **request: object) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        self.send(**request)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Wait for an answer."""
        try:
            if self._channel.connection.poll(PATIENCE_SECONDS):
                return self._channel.receive()
        except (EOFError, OSError):
            self._kill()  # the process may have closed its connection and live on
            code = self._wait()
            how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
            raise IncomparableError(
                f"{self.name} died ({how}); its last output: {self.last_output()}"
            ) from None
        raise IncomparableError(
            f"{self.name} did not answer for {PATIENCE_SECONDS:g} s: it is stuck, or it does not "
            "survive being forked; --fresh=exec starts each process from the beginning"
        )

    def fork(self, connection: Connection, **request: object) -> int:
        """Let a server fork a process that answers through the connection; return its number."""
        self.send(do="fork", **request)
        with suppress(OSError):  # `answer` says why a server died
            reduction.send_handle(self._channel.connection, connection.fileno(), self._number)
        return int(self.answer()["process"])

    def last_output(self) -> str:
        """Return the last lines of its output in one line."""
        lines = self._output.read_text(errors="replace").strip().splitlines()
        return "; ".join(line.strip() for line in lines[-LAST_LINES:]) or "none"

    def end(self) -> None:
        """End the process and all that it started."""
        self._channel.connection.close()
        self._kill()
        with suppress(IncomparableError):  # the server may have died, too
            self._wait()

    def _kill(self) -> None:
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                kill(self._number, signal.SIGKILL)


@dataclass(kw_only=True)
class Launcher:
    """Starts processes: all forked from one server, or each from its own beginning.

    If a tree holds a package that pytest itself imports, as the tree of pluggy does, each process
    starts from its own beginning, with its tree imported from first.
    """

    arguments: Sequence[str]  # arguments for pytest
    threads: int
    shares_a_server: bool  # False: each process starts from its own beginning
    common: Sequence[str] = ()  # modules that the server imports before it forks
    _stack: ExitStack = field(default_factory=ExitStack)
    _counter: Iterator[int] = field(default_factory=itertools.count)

    def __enter__(self) -> Self:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pytest-duet-"))
        self._folder = Path(folder)
        self._shared: Process | None = None
        self._imported: Sequence[str] = ()  # packages that pytest itself imports
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def fresh(self, versions: Sequence[Version], rng: random.Random) -> Iterator[list[Process]]:
        """Start one process per version that has collected in its tree; end it afterwards.

        Processes are forked in a random order, because each fork changes the server's memory, and
        no version may always get the same state.
        """
        with ExitStack() as stack:
            started: dict[str, Process] = {}
            shared = self._server_of_all(versions)
            for version in rng.sample(versions, len(versions)):
                output = self._folder / f"output-{next(self._counter)}"
                output.touch()
                server = shared or self._start(version.python, stack, version.import_folders)
                ours, theirs = Pipe()
                with theirs:
                    number = server.fork(
                        theirs,
                        tree=str(version.tree),
                        folders=list(map(str, version.import_folders)),
                        output=str(output),
                        seed=rng.getrandbits(32),
                    )
                wait = partial(_reaped, server, number)
                process = Process(version.name, number, output, Channel(ours), wait)
                stack.callback(process.end)
                started[version.name] = process
            for process in started.values():
                process.answer()
            yield [started[version.name] for version in versions]

    def _server_of_all(self, versions: Sequence[Version]) -> Process | None:
        """Return the server that all processes are forked from; None where each needs its own."""
        if self.shares_a_server and self._shared is None:
            self._shared = self._start(versions[0].python, self._stack)
            answer = self._shared.ask(do="import", modules=list(self.common))
            self._imported = [
                name for name in answer["imported"] if name not in sys.stdlib_module_names
            ]
        is_imported_early = any(
            version.has_source_of(name) for version in versions for name in self._imported
        )
        return None if is_imported_early else self._shared

    def _start(self, python: str, stack: ExitStack, folders: Sequence[Path] = ()) -> Process:
        output = self._folder / f"output-{next(self._counter)}"
        ours, theirs = Pipe()
        settings = {"connection": theirs.fileno(), "arguments": list(self.arguments)}
        counts = dict.fromkeys(THREAD_COUNTS, str(self.threads))
        with theirs, output.open("w") as sink:
            try:
                started = subprocess.Popen(
                    [python, "-c", START, str(OURS), json.dumps(settings), *map(str, folders)],
                    cwd=self._folder,
                    env=os.environ | QUIET_OPENMP | STEADY_MALLOC | counts,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=sink,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C reaches only the gate, which cleans up
                )
            except OSError as error:
                ours.close()
                raise IncomparableError(f"cannot run {python}: {error}") from error
        server = Process(
            f"the server of {python}", started.pid, output, Channel(ours), started.wait
        )
        stack.callback(server.end)
        return server


def _reaped(server: Process, number: int) -> int:
    return int(server.ask(do="reap", process=number)["code"])
