"""A pytest plugin that collects as usual, and then runs the cases that the gate asks for."""

from __future__ import annotations

import gc
import hashlib
import inspect
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from .benchmark import Benchmark, repeated
from .channel import LOSSES, PEAK_MEMORY, Channel

FIXTURE = "benchmark"
MARKS = ("benchmark", "codspeed_benchmark")  # marks with which pytest-codspeed times a whole test
NOT_OURS = "Skipping non-benchmark"  # pytest-benchmark's reason to skip such a test
# Options set for the plugins that are installed.
OPTIONS: dict[str, Any] = {
    # pytest-benchmark: as if only `--benchmark-only` were given.
    "benchmark_only": True,
    "benchmark_skip": False,
    "benchmark_disable": False,
    "benchmark_save": None,
    "benchmark_autosave": None,
    "benchmark_json": None,
    "benchmark_compare": [],
    "benchmark_compare_fail": None,
    "benchmark_histogram": None,
    # pytest-randomly: both versions draw the same numbers, in the same order of cases.
    "randomly_seed": 0,
    "randomly_reorganize": False,
    # pytest-xdist: the gate has its own processes.
    "numprocesses": None,
    "dist": "no",
    "tx": [],
}
OURS = __name__.split(".")[0]
REASON_CHARACTERS = 300


class Plugin:
    """Lets benchmarks run, and keeps pytest's reports on them."""

    def __init__(self, channel: Channel) -> None:
        self.errors: list[str] = []  # errors of modules that cannot be imported
        self.reports: list[pytest.TestReport] = []
        self.case: Benchmark | None = None
        self._channel = channel

    @pytest.hookimpl(hookwrapper=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> Iterator[None]:
        """Switch pytest-cov off before it starts, because tracing would be timed."""
        early_config.known_args_namespace.no_cov = True
        yield

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self) -> bool:
        """Set no timer of pytest-timeout, because a case may wait long for its turns."""
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Choose benchmarks, and register `Late` last, so that its fixture wins."""
        for name, value in OPTIONS.items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)
        config.pluginmanager.register(Late(self, self._channel), "gate-late")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a module that cannot be imported."""
        if report.failed:
            self.errors.append(_error_in(str(report.longrepr)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep how set-up, call and tear-down ended."""
        self.reports.append(report)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        """Hide our fixture from pytest-benchmark, which accepts only its own."""
        arguments: dict[str, Any] = getattr(item, "funcargs", {})
        benchmark = arguments.pop(FIXTURE, None)
        yield
        if benchmark is not None:
            arguments[FIXTURE] = self.case = benchmark


class Late:
    """The fixture, and the loop that runs the cases that the gate asks for."""

    def __init__(self, plugin: Plugin, channel: Channel) -> None:
        self._plugin = plugin
        self._channel = channel
        self._slowed: dict[str, float] = {}  # share of time that an audit adds, by case

    @pytest.fixture(name=FIXTURE)
    def benchmark(self, request: pytest.FixtureRequest) -> Benchmark:
        """Stand in for pytest-benchmark's fixture."""
        return self._new_benchmark(request.node)

    def _new_benchmark(self, item: pytest.Item) -> Benchmark:
        return Benchmark(item, self._channel, slowed=self._slowed.get(item.nodeid, 0.0))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Run marked tests that pytest-benchmark would skip because they do not use its fixture."""
        for item in filter(_is_marked, items):
            item.own_markers = [
                mark
                for mark in item.own_markers
                if not str(mark.kwargs.get("reason", "")).startswith(NOT_OURS)
            ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Time a marked test that does not use the fixture as a whole."""
        names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001 - as pytest's own hook does
        is_async = inspect.iscoroutinefunction(pyfuncitem.obj)
        if FIXTURE in pyfuncitem.fixturenames or not _is_marked(pyfuncitem) or is_async:
            return None
        arguments = {name: pyfuncitem.funcargs[name] for name in names}
        self._plugin.case = self._new_benchmark(pyfuncitem)
        self._plugin.case.serve(repeated(pyfuncitem.obj, **arguments))
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Answer the gate: describe what is collected, or run cases in the order it asks for."""
        items = {
            item.nodeid: item
            for item in session.items
            if FIXTURE in getattr(item, "fixturenames", ()) or _is_marked(item)
        }
        gc.collect()
        gc.freeze()
        self._channel.send(ready=True)
        for request in self._channel.requests():
            if request["do"] == "describe":
                self._channel.send(**_describe(list(items.values()), self._plugin.errors))
                continue
            _pin(request["cores"])
            self._slowed = request["slowed"]
            chosen = [items[name] for name in request["cases"]]
            for item, following in zip(chosen, [*chosen[1:], None], strict=True):
                self._run(item, following)
        return True

    def _run(self, item: pytest.Item, following: pytest.Item | None) -> None:
        folder, threads = Path.cwd(), set(threading.enumerate())
        self._plugin.case, self._plugin.reports = None, []
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        os.chdir(folder)
        case = self._plugin.case
        outcome = _outcome(self._plugin.reports, called=bool(case and case.calls))
        figures: dict[str, Any] = {}
        try:
            figures = _figures(case.extra_info) if case else {}
        except (TypeError, ValueError) as error:
            outcome = {"outcome": "failed", "reason": f"stores no numbers: {error}"}
        self._channel.send(
            group=case.group if case else None,
            figures=figures,
            usable=outcome["outcome"] != "failed" and threads >= set(threading.enumerate()),
            **outcome,
        )


def _pin(cores: list[int]) -> None:
    """Pin every thread of this process to these cores; do nothing if there are none."""
    if cores:
        for thread in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):  # the thread has ended
                os.sched_setaffinity(int(thread.name), cores)


def _is_marked(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(mark) for mark in MARKS)


def _describe(items: list[pytest.Item], errors: list[str]) -> dict[str, Any]:
    return {
        "functions": {item.nodeid: item.nodeid.split("[")[0] for item in items},
        "sources": {item.nodeid: _digest(item) for item in items},
        "errors": errors,
        "modules": list(_imported_files()),
        "versions": {"python": sys.version.split()[0], "pytest": pytest.__version__},
    }


def _digest(item: pytest.Item) -> str:
    """Return a digest of the source of a case's test and its fixtures."""
    definitions = getattr(item, "_fixtureinfo", None)
    fixtures = chain.from_iterable(getattr(definitions, "name2fixturedefs", {}).values())
    functions = [getattr(item, "function", None), *(fixture.func for fixture in fixtures)]
    return hashlib.sha256("\0".join(map(_source_of, functions)).encode()).hexdigest()


@cache
def _source_of(function: Any) -> str:
    with suppress(OSError, TypeError):  # the function was made by exec, or is built in
        return inspect.getsource(inspect.unwrap(function))
    return ""


def _imported_files() -> Iterator[list[str]]:
    """Yield name and file of each module in order of import, except pytest-rewritten and ours."""
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if (
            spec
            and spec.has_location
            and type(spec.loader).__name__ != "AssertionRewritingHook"
            and name.split(".")[0] != OURS
        ):
            yield [name, str(spec.origin)]


def _figures(extra_info: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that a case stored for the gate, as plain numbers."""
    figures: dict[str, Any] = {}
    if PEAK_MEMORY in extra_info:
        figures[PEAK_MEMORY] = int(extra_info[PEAK_MEMORY])
    if LOSSES in extra_info:
        figures[LOSSES] = [float(loss) for loss in extra_info[LOSSES]]
    return figures


def _outcome(reports: list[pytest.TestReport], *, called: bool) -> dict[str, str]:
    """Return how a case ended: "passed", "left out" or "failed", and why."""
    for report in reports:
        if report.failed:
            return {"outcome": "failed", "reason": f"raises: {_error_in(report.longreprtext)}"}
        if report.skipped:
            expected = getattr(report, "wasxfail", None)
            if expected is not None:
                return {"outcome": "left out", "reason": "is expected to fail (xfail)"}
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            reason = reason.removeprefix("Skipped: ")[:REASON_CHARACTERS]
            return {"outcome": "left out", "reason": f"is skipped: {reason}"}
    if not called:
        return {"outcome": "failed", "reason": "never calls benchmark"}
    return {"outcome": "passed", "reason": ""}


def _error_in(text: str) -> str:
    """Return the line of a traceback that names the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (errors or lines or ["nothing"])[0][:REASON_CHARACTERS]
