"""Everything in a loop, while processes are ended, the disk fills up and a neighbour computes.

`python -m tests.soak 7200` goes on for so many seconds and prints a line a finding. After each
command every file is whole, nothing that it started lives, and a failure was said in one line.
"""

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.runs import json_lines
from mnist_mlp import atomic, checkpoint
from tests import idx, suite

ENDINGS = (None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
LONGEST_SECONDS = 12.0  # that a command goes on before it is ended
FILE_BYTES = (1_000, 100_000, 300_000, 1_000_000)  # beyond which a disk is full
LEAVING_SECONDS = 10.0
SPIN = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"


@dataclass
class Soak:
    """A folder in which commands run, and what was found."""

    folder: Path
    draw: random.Random
    findings: list[str] = field(default_factory=list)
    commands: Counter[str] = field(default_factory=Counter)

    def turn(self) -> None:
        """Run a command, disturb it, and look at what is left."""
        name, words = self.draw.choice(list(self._commands()))
        ending = self.draw.choice(ENDINGS)
        limit = self.draw.choice(FILE_BYTES) if self.draw.random() < 1 / 3 else None
        neighbour = self.draw.random() < 1 / 3
        what = f"{name}, ended by {ending and ending.name}, files up to {limit}"
        self.commands[name] += 1
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {"TMPDIR": str(temporary), "PYTHONPATH": str(suite.ROOT)}
        if limit:  # Python 3.11 keeps bytecode that it wrote in part (python/cpython#126606)
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        beside = subprocess.Popen([sys.executable, "-c", SPIN]) if neighbour else None
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_prepared(limit),  # noqa: PLW1509 - no thread of ours has a lock
        )
        stays = []
        try:
            output, errors = process.communicate(timeout=self._patience(ending))
        except subprocess.TimeoutExpired:
            if not ending:
                stays = ["it did not end by itself"]
            process.send_signal(ending or signal.SIGKILL)
            try:
                output, errors = process.communicate(timeout=10 * LONGEST_SECONDS)
            except subprocess.TimeoutExpired:
                stays = ["it did not end when it was told to"]
                os.killpg(process.pid, signal.SIGKILL)
                output, errors = process.communicate()
        if beside:
            beside.kill()
            beside.wait()
        self.findings += [
            f"{what}: {finding}"
            for finding in (
                *stays,
                *_half_files(self.folder),
                *_alive(process.pid),
                *([] if process.returncode == -signal.SIGKILL else self._left(temporary)),
                *_talk(name, process.returncode, output, errors),
            )
        ]
        subprocess.run(["rm", "-rf", temporary], check=True)

    def _patience(self, ending: signal.Signals | None) -> float:
        return self.draw.uniform(0.2, LONGEST_SECONDS) if ending else 10 * LONGEST_SECONDS

    def _commands(self) -> Iterator[tuple[str, list[str]]]:
        data, root = f"--data-root={self.folder}", suite.ROOT
        pytest = ["pytest", "--benchmark-only", "-p", "no:cacheprovider", f"--rootdir={root}"]
        pytest += [f"-c{root}/pyproject.toml", data, "--threads=1", "--benchmark-json=run.json"]
        sizes = "--batch-sizes=1,4,16"
        yield "train", ["mnist_mlp", data, "--epochs=40", "--batch-size=4", "--engine=eager"]
        yield "measure", [*pytest, f"{root}/bench/test_step.py", "--engines=eager,native", sizes]
        yield "unpack", ["mnist_mlp", f"--cache-dir={self.folder / 'cache'}", "--epochs=1"]
        if (self.folder / "run.json").exists():
            yield "report", ["bench", "report", "run.json", "--png=pictures"]
        journals = sorted(self.folder.glob(".benchmarks/journals/*.jsonl"))
        if journals:
            yield "recover", ["bench", "recover", str(journals[-1]), "-o", "recovered.json"]

    def _left(self, temporary: Path) -> Iterator[str]:
        hidden = [file.name for file in self.folder.rglob(f"{atomic.PREFIX}*")]
        if hidden:
            yield f"temporary files are left: {hidden}"
        names = [file.name for file in temporary.iterdir() if not file.name.startswith("torch")]
        if names:
            yield f"temporary folders are left: {names}"


def _prepared(limit: int | None) -> Callable[[], None]:
    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return prepare


def _half_files(folder: Path) -> Iterator[str]:
    """Name each file that is not whole; readers of a journal drop an unfinished line."""
    for file in folder.rglob("*"):
        try:
            if file.suffix == ".json":
                json.loads(file.read_text())
            elif file.suffix == ".jsonl":
                json_lines.read(file)
            elif file.suffix == ".pt":
                checkpoint.load(file)
            elif (file.suffix == ".html" and "</html>" not in file.read_text()[-20:]) or (
                file.suffix == ".png" and not file.read_bytes().endswith(b"IEND\xaeB`\x82")
            ):
                yield f"{file.name} is cut off"
        except Exception as error:  # noqa: BLE001 - whatever the damage causes
            yield f"{file.name} is damaged: {error}"


def _alive(session: int) -> Iterator[str]:
    """Tell whether something of the command's session still lives, after a while."""
    until = time.monotonic() + LEAVING_SECONDS
    while time.monotonic() < until:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    yield "something that it started still lives"
    os.killpg(session, signal.SIGKILL)


def _talk(name: str, code: int, output: str, errors: str) -> Iterator[str]:
    """Tell whether a failure was said otherwise than in one line."""
    _, started, trace = (output + errors).partition("Traceback")
    raised = [line for line in trace.splitlines() if re.match(r"[\w.]+(: |$)", line)]
    starting = name == "measure" and "test session starts" not in output
    if started and not (starting and raised[:1] == ["KeyboardInterrupt"]):
        yield f"a traceback: {raised[:1]}\n{trace}"  # pytest's own from before its session is not
    lines = [line for line in errors.splitlines() if line.strip()]
    if name != "measure" and code > 0 and len(lines) != 1:
        yield f"exit code {code} with {len(lines)} lines: {lines[:3]}"


def run(seconds: float, *, seed: int, tell: Callable[[str], object]) -> Soak:
    """Go on for so many seconds, and return what was found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        idx.write_dataset(folder / "KMNIST" / "raw", train=600, test=200)
        soak, until = Soak(folder=folder, draw=random.Random(seed)), time.monotonic() + seconds
        while time.monotonic() < until:
            before = len(soak.findings)
            soak.turn()
            for finding in soak.findings[before:]:
                tell(finding)
        return soak


if __name__ == "__main__":
    done = run(float(sys.argv[1]), seed=int(time.time()), tell=lambda line: print(line, flush=True))
    print(f"{sum(done.commands.values())} commands, {len(done.findings)} findings: {done.commands}")
    sys.exit(bool(done.findings))
