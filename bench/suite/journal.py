"""Keeps each case of a run in a journal from the moment it ends, and goes on with such a run."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
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
from bench.runs import journal, json_lines
from bench.runs.journal import OUTCOME, PASSED, Case, JournalError
from bench.suite.options import Options
from bench.units import counted
from mnist_mlp import atomic
from mnist_mlp.atomic import WriteError

FOLDER = "journals"  # beside the runs that pytest-benchmark saves
KEPT = 10  # journals that were not named
VERSIONS = ("numba", "pytest_benchmark")  # beside those that the machine is described by
# What is timed and what times it, less what reads finished runs.
SOURCES = {
    Path(mnist_mlp.__file__).parent: ("**/*.py",),
    Path(bench.__file__).parent: ("*.py", "suite/*.py", "measure/*.py"),
}


class CaseJournal:
    """A pytest plugin: appends each case that ends to a file."""

    def __init__(self, session: Any, options: Options, announce: Callable[[str], None]) -> None:
        self.restored: list[Case] = []  # cases that an earlier process measured
        self.ended: set[str] = set()  # full names of cases that ran to their end
        self.file: Path | None = None
        self._session = session  # pytest-benchmark's
        self._options = options
        self._announce = announce
        self._is_broken = False
        self._kept: set[str] = set()  # full names of cases that --resume would take
        self._unseen: set[str] = set()  # full names of cases that are still to run

    def start(self, file: Path) -> None:
        """Begin a journal under a name that the user gave.

        Raises:
            UsageError: the file holds something, or cannot be written.

        """
        if file.exists() and file.stat().st_size:
            raise pytest.UsageError(
                f"{file} exists: name another file, or go on with its run by --resume={file}"
            )
        try:
            atomic.append(file, b"")
        except WriteError as error:
            raise pytest.UsageError(str(error)) from error
        self.file = file

    def resume(self, file: Path, items: Sequence[pytest.Item]) -> None:
        """Take over the cases of an earlier process that passed: they need not run again.

        Raises:
            UsageError: the journal is none, or its run had other code, options, cases or machine.

        """
        try:
            found = journal.read(file)
            changed = journal.differences(found.header, self._header())
        except JournalError as error:
            raise pytest.UsageError(str(error)) from error
        if changed:
            others = f", and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise pytest.UsageError(
                f"{file} is of a run that differs in {changed[0]}{others}: start a new run"
            )
        asked = {item.nodeid for item in items}
        for case in found.cases():
            if case["fullname"] not in asked:
                raise pytest.UsageError(
                    f"{file} holds {case['fullname']}, which this run does not collect: give the "
                    "paths, -k and -m of that run"
                )
        try:
            json_lines.mend(file)
        except WriteError as error:
            raise pytest.UsageError(str(error)) from error
        self.file = file
        self.restored = found.cases(passed_only=True)
        self._kept = {case["fullname"] for case in self.restored}
        self.ended |= self._kept
        self._session.benchmarks += map(_restored, self.restored)
        torn = "; a line that was never finished is dropped" if found.is_torn else ""
        self._announce(f"taken from {file}: {counted(len(self.restored), 'case')}{torn}")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn which cases are to run."""
        self._unseen = {item.nodeid for item in session.items}

    @property
    def left(self) -> str:
        """How to go on with a run that did not come to its end; nothing where it did."""
        left = self._unseen - self._kept
        if not left or not self._kept or self._is_broken:
            return ""
        return (
            f"{counted(len(self._kept), 'case')} kept in {self.file}, {len(left)} left: add "
            f"--resume={self.file} to go on, or save what is there with `python -m bench recover "
            f"{self.file} -o RUN.json`"
        )

    @property
    def elsewhere(self) -> str:
        """How to save what could not be saved; nothing where the journal lacks it, too."""
        if not self._kept or self._is_broken:
            return ""
        return f"; `python -m bench recover {self.file} -o RUN.json` saves the run elsewhere"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append a case whose call has ended, passed or failed."""
        if report.when == "teardown":
            self._unseen.discard(report.nodeid)
        if report.when != "call" or report.skipped:
            return
        if report.failed and report.nodeid in self.ended:
            return  # it ran again, and its first run is kept
        self.ended.add(report.nodeid)
        for measured in reversed(self._session.benchmarks):
            if measured.fullname == report.nodeid:
                if measured and not measured.has_error:
                    self._keep(measured.as_dict() | {OUTCOME: report.outcome})
                return

    def _keep(self, case: Case) -> None:
        if self._is_broken:
            return
        try:
            if not self.file:
                self.file = _new_file(self._session.storage)
            if not self.file.exists() or not self.file.stat().st_size:
                json_lines.append(self.file, self._header())
            json_lines.append(self.file, _plain(case))
            if case[OUTCOME] == PASSED:
                self._kept.add(case["fullname"])
        except (WriteError, OSError) as error:
            self._is_broken = True
            self._announce(
                f"the journal cannot be written, so cases are saved only when the run ends: {error}"
            )

    def _header(self) -> dict[str, Any]:
        """Say what this run is: pytest-benchmark's own fields, and what decides its times."""
        config, hook = self._session.config, self._session.config.hook
        commit = hook.pytest_benchmark_generate_commit_info(config=config)
        hook.pytest_benchmark_update_commit_info(config=config, commit_info=commit)
        header = {
            "machine_info": self._session.get_machine_info(),
            "commit_info": commit,
            "datetime": datetime.now(UTC).isoformat(),
            "version": version("pytest-benchmark"),
            "options": asdict(self._options)
            | {key: str(value) for key, value in self._session.options.items()},
            "code": _hashes(),
            "versions": {name: version(name) for name in VERSIONS if find_spec(name)},
        }
        return _plain(header)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values into what JSON has, as pytest-benchmark does."""
    plain: dict[str, Any] = json.loads(safe_dumps(value))
    return plain


def _hashes() -> dict[str, str]:
    """Hash each source file that has a part in what a case measures."""
    files = [
        (folder, file)
        for folder, patterns in SOURCES.items()
        for pattern in patterns
        for file in sorted(folder.glob(pattern))
    ]
    return {
        file.relative_to(folder.parent).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder, file in files
    }


def _new_file(storage: Any) -> Path:
    """Name a new journal beside the saved runs, and remove the oldest of those before it."""
    beside = storage.path if isinstance(storage, FileStorage) else Path(".benchmarks")
    folder = beside / FOLDER
    atomic.make_folder(folder)
    older = sorted(folder.glob("*.jsonl"), key=lambda file: file.stat().st_mtime)
    for file in older[: max(0, len(older) + 1 - KEPT)]:
        file.unlink(missing_ok=True)
    return folder / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{os.getpid()}.jsonl"


def _restored(case: Case) -> Metadata:
    """Build what pytest-benchmark holds of a case that it measured."""
    fields = ("name", "fullname", "group", "param", "params", "extra_info")
    fixture = SimpleNamespace(
        **{key: case[key] for key in fields}, cprofile_stats=None, has_error=False
    )
    measured = Metadata(fixture, case["stats"]["iterations"], case["options"])
    measured.stats.data = case["stats"]["data"]
    return measured
