"""Shows which case is running, how many are done, and how far the case is."""

import io
import os
import sys
import time
from typing import TextIO

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def own_stdout() -> TextIO:
    """Open standard output by a new descriptor: pytest redirects descriptor 1 while a case runs."""
    try:
        descriptor = os.dup(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):  # a notebook's stream, or none
        return sys.stdout or io.StringIO()
    return os.fdopen(descriptor, "w", encoding=sys.stdout.encoding)


class CaseProgress:
    """A pytest plugin: one live line on a terminal, else one plain line per case.

    It draws when a case starts and when a case reports how far it is, never in timed code. A thread
    that redraws would disturb what is measured.
    """

    def __init__(self) -> None:
        self._stream = own_stdout()
        console = Console(file=self._stream)
        self._is_terminal = console.is_terminal and not console.is_dumb_terminal
        self._started = time.monotonic()
        self._bar = Progress(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=None)
        self._session: pytest.Session | None = None
        self._begun = 0
        self._case = ""

    def announce(self, text: str) -> None:
        """Print a line of its own."""
        print(text, file=self._stream, flush=True)

    def tell(self, text: str) -> None:
        """Show how far the current case is; on a terminal only."""
        if self._is_terminal:
            self._bar.update(self._task, description=f"{self._case}: {text}", refresh=True)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn how many cases there are, and keep pytest from printing file names."""
        self._session = session
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        if reporter:
            reporter.showfspath = False

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Show the case that starts."""
        self._begun += 1
        self._case = nodeid.rpartition("::")[2]
        cases = len(self._session.items) if self._session else 0  # grows if cases run again
        if self._is_terminal:
            self._bar.start()
            self._bar.update(
                self._task, total=cases, completed=self._begun - 1, description=self._case
            )
            self._bar.refresh()
        else:
            minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
            line = f"[{self._begun:3}/{cases} {minutes}:{seconds:02}] {nodeid}"
            print(line, file=self._stream, flush=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Hide pytest's dots, but not the letters of failures."""
        if report.skipped:
            return "skipped", "", ""
        return ("passed", "", "") if report.passed and report.when == "call" else None

    def pytest_sessionfinish(self) -> None:
        """Remove the live line."""
        self._bar.stop()
        self._stream.flush()
