"""Records what other processes did while a case was timed, and runs disturbed cases again."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.measure import disturbance

DIGITS = 4


class Watch:
    """A pytest plugin: stores in a case's `extra_info` how other processes disturbed it."""

    def __init__(
        self,
        session: Any,
        *,
        passed: Iterable[str],
        most_reruns: int,
        announce: Callable[[str], None],
    ) -> None:
        self._session = session  # pytest-benchmark's
        self._passed = set(passed)  # full names of cases, at first those of an earlier process
        self._most_reruns = most_reruns  # limit per case
        self._announce = announce
        self._reruns = Counter(self._passed)  # an earlier process made the first run

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Watch the case's timed calls, and the set-up between them."""
        benchmark = getattr(item, "funcargs", {}).get("benchmark")
        if isinstance(benchmark, BenchmarkFixture):
            vars(benchmark)["pedantic"] = _watched(benchmark, disturbance.read())
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep one of two runs of a case: the run that passed or, if both did, the calmer run."""
        if report.when != "call":
            return
        benchmarks = self._session.benchmarks
        places = [n for n, case in enumerate(benchmarks) if case.fullname == report.nodeid]
        if len(places) > 1:
            first, again = places
            later = benchmarks.pop(again)
            is_first = report.nodeid not in self._passed
            if report.passed and (is_first or _amount(later) < _amount(benchmarks[first])):
                benchmarks[first] = later
        if report.passed:
            self._passed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Let a disturbed case run again at the end, as often as the user allows."""
        result = yield
        if self._reruns[item.nodeid] < self._most_reruns and self.is_disturbed(item.nodeid):
            self._reruns[item.nodeid] += 1
            item.session.items.append(item)
            self._announce(f"disturbed, so it runs again at the end: {item.nodeid}")
        return result

    def is_disturbed(self, name: str) -> bool:
        """Whether a case was measured and was disturbed."""
        return any(
            case.fullname == name and case.extra_info.get("disturbed")
            for case in self._session.benchmarks
        )


def _watched(benchmark: BenchmarkFixture, begun: disturbance.Reading) -> Callable[..., Any]:
    """Wrap the method that times in a reading before and a reading after."""
    timed = benchmark.pedantic

    def pedantic(*arguments: Any, **options: Any) -> Any:
        before = disturbance.read()
        try:
            return timed(*arguments, **options)
        finally:
            after = disturbance.read()
            between = disturbance.between(begun, before, after)
            shares = {
                key: round(value, DIGITS) if isinstance(value, float) else value
                for key, value in asdict(between).items()
            }
            calm = "" if after.busy else None  # None: this system does not count others' time
            benchmark.extra_info.update(disturbance=shares, disturbed=between.cause or calm)

    return pedantic


def _amount(case: Any) -> float:
    return disturbance.amount(case.extra_info["disturbance"])
