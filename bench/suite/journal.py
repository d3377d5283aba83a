"""Keeps each case of a run in a journal as soon as it ends, and resumes an interrupted run.

A journal is locked while its run lives. Of the journals that the user did not name, the newest
`NEWEST` are kept, and of older journals the `LONGEST` with the most measured seconds. So a day of
short tries does not remove the journal of a long run.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_benchmark.stats import Metadata
from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import safe_dumps

import bench
import mnist_mlp
from bench import options as declared
from bench.runs import journal, json_lines
from bench.runs.journal import OUTCOME, PASSED, Case
from bench.units import counted
from mnist_mlp import atomic
from mnist_mlp.arguments import place_of_task
from mnist_mlp.errors import UserError

FOLDER = "journals"  # a folder in pytest-benchmark's storage
OWN_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d+\.jsonl")
NEWEST = 10
LONGEST = 5
# Names of the options that decide what a case measures.
OPTIONS = {flag.lstrip("-").replace("-", "_") for flag in declared.OPTIONS["suite"]} - {
    *("journal", "resume", "rerun_disturbed")
}
VERSIONS = ("numba", "pytest_benchmark")  # packages whose versions machine_info lacks
# The code that is timed and the code that times it, without the code that reads finished runs.
SOURCES = {
    Path(mnist_mlp.__file__).parent: ("**/*.py",),
    Path(bench.__file__).parent: ("*.py", "suite/*.py", "measure/*.py", "laws/alignment.py"),
}


class CaseJournal:
    """A pytest plugin: appends each case that ends to a file."""

    def __init__(self, session: Any, announce: Callable[[str], None]) -> None:
        self.restored: list[Case] = []  # cases that an earlier process measured
        self.ended: set[str] = set()  # full names of cases that ran to their end
        self._session = session  # pytest-benchmark's
        self._announce = announce
        self._writer: json_lines.Writer | None = None
        self._is_broken = False
        self._kept: set[str] = set()  # full names of cases that --resume would take
        self._unseen: set[str] = set()  # full names of cases that are still to run

    def start(self, file: Path) -> None:
        """Begin a journal under a name that the user gave.

        Raises:
            UserError: the file holds something, or cannot be written.

        """
        if file.exists() and file.stat().st_size:
            raise UserError(
                f"{file} exists: name another file, or go on with its run by --resume={file}"
            )
        self._writer = json_lines.Writer(file)

    def resume(self, file: Path, items: Sequence[pytest.Item]) -> None:
        """Take over the cases of an earlier process that passed: they need not run again.

        Raises:
            UserError: the file is no journal, is of a different run, or another process writes it.

        """
        before = journal.read(file)
        changed = journal.differences(before.header, self._header())
        if changed:
            more = f", and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise UserError(
                f"{file} is of a run that differs in {changed[0]}{more}: start a new run"
            )
        collected = {item.nodeid for item in items}
        for case in before.cases():
            if case["fullname"] not in collected:
                raise UserError(
                    f"{file} holds {case['fullname']}, which this run does not collect: give the "
                    "paths, -k and -m of that run"
                )
        self._writer = json_lines.Writer(file)  # removes an incomplete last line
        self.restored = journal.read(file).cases(passed_only=True)
        self._kept = {case["fullname"] for case in self.restored}
        self.ended |= self._kept
        self._session.benchmarks += map(_restored, self.restored)
        torn = "; an incomplete last line is dropped" if before.is_torn else ""
        self._announce(f"taken from {file}: {counted(len(self.restored), 'case')}{torn}")

    @property
    def hopeless(self) -> set[tuple[str, int, str]]:
        """Engine, batch size and rule of trainings whose first seed missed the target by far."""
        infos = [case["extra_info"] for case in self.restored]
        hopeless = [info for info in infos if info.get("seeds_left_out")]
        return {(info["engine"], info["batch_size"], info["lr_rule"]) for info in hopeless}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn which cases are to run."""
        self._unseen = {item.nodeid for item in session.items}

    def pytest_unconfigure(self) -> None:
        """Let other processes write the journal."""
        if self._writer:
            self._writer.close()

    @property
    def recover(self) -> str:
        """The command that makes a run file of the journal; empty if the journal has no case."""
        if not (self._writer and self._kept) or self._is_broken:
            return ""
        return f"`python -m bench recover {self._writer.file} -o RUN.json`"

    @property
    def left(self) -> str:
        """How to resume a run that did not finish; empty if it finished."""
        left = self._unseen - self._kept
        if not (left and self.recover and self._writer):
            return ""
        file = self._writer.file
        return (
            f"{counted(len(self._kept), 'case')} kept in {file}, {len(left)} left: add "
            f"--resume={file} to resume, or save the finished cases with {self.recover}"
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append a case whose call has ended, passed or failed."""
        if report.when == "teardown":
            self._unseen.discard(report.nodeid)
        if report.when != "call" or report.skipped:
            return
        if report.failed and report.nodeid in self.ended:
            return  # it ran again, and its first run is kept
        self.ended.add(report.nodeid)
        same = [each for each in self._session.benchmarks if each.fullname == report.nodeid]
        if same and same[-1] and not same[-1].has_error and not self._is_broken:
            self._keep(same[-1].as_dict() | {OUTCOME: report.outcome})

    def _keep(self, case: Case) -> None:
        try:
            if not self._writer:
                self._writer = json_lines.Writer(_new_file(self._session.storage))
            if not self._writer.file.stat().st_size:
                self._writer.append(self._header())
            self._writer.append(_plain(case))
            if case[OUTCOME] == PASSED:
                self._kept.add(case["fullname"])
        except (UserError, OSError) as error:
            self._is_broken = True
            self._announce(
                f"the journal cannot be written, so cases are saved only when the run ends: {error}"
            )

    def _header(self) -> dict[str, Any]:
        """Describe this run: pytest-benchmark's own fields, and what decides its times."""
        config, hook = self._session.config, self._session.config.hook
        commit = hook.pytest_benchmark_generate_commit_info(config=config)
        hook.pytest_benchmark_update_commit_info(config=config, commit_info=commit)
        header = {
            "machine_info": self._session.get_machine_info(),
            "commit_info": commit,
            "datetime": datetime.now(UTC).isoformat(),
            "version": version("pytest-benchmark"),
            "options": {key: config.getoption(key) for key in OPTIONS}
            | {key: str(value) for key, value in self._session.options.items()},
            "code": _hashes(config.getoption("task")),
            "versions": {name: version(name) for name in VERSIONS if find_spec(name)},
        }
        return _plain(header)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Convert values to JSON types, as pytest-benchmark does."""
    plain: dict[str, Any] = json.loads(safe_dumps(value))
    return plain


def _hashes(own_task: str | None) -> dict[str, str]:
    """Hash each source file that affects what a case measures."""
    files = {
        file.relative_to(folder.parent).as_posix(): file
        for folder, patterns in SOURCES.items()
        for pattern in patterns
        for file in sorted(folder.glob(pattern))
    }
    if own_task:
        place, _ = place_of_task(own_task)
        own = place if place.endswith(".py") else str(sys.modules[place].__file__)
        files[own] = Path(own)
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}


def _new_file(storage: Any) -> Path:
    """Name a new journal beside the saved runs, and remove the least useful older journals."""
    beside = storage.path if isinstance(storage, FileStorage) else Path(".benchmarks")
    folder = beside / FOLDER
    atomic.make_folder(folder)
    journals = [file for file in folder.iterdir() if OWN_NAME.fullmatch(file.name)]
    journals.sort(key=lambda file: file.stat().st_mtime, reverse=True)
    older = sorted(journals[NEWEST - 1 :], key=_measured_seconds, reverse=True)
    for file in older[LONGEST:]:
        with suppress(UserError, OSError):  # another process writes it, or has removed it
            writer = json_lines.Writer(file)
            file.unlink()
            writer.close()
    return folder / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{os.getpid()}.jsonl"


def _measured_seconds(file: Path) -> float:
    """Return the seconds for which a journal's cases were timed; 0 if the journal is damaged."""
    try:
        return sum(float(line["stats"]["total"]) for line in json_lines.read(file)[1:])
    except (UserError, KeyError, TypeError, ValueError):
        return 0.0


def _restored(case: Case) -> Metadata:
    """Rebuild pytest-benchmark's own record of a measured case."""
    fields = ("name", "fullname", "group", "param", "params", "extra_info")
    fixture = SimpleNamespace(
        **{key: case[key] for key in fields}, cprofile_stats=None, has_error=False
    )
    measured = Metadata(fixture, case["stats"]["iterations"], case["options"])
    measured.stats.data = case["stats"]["data"]
    return measured
