"""The suite as a pytest plugin: it gives cases their values, and turns a run into an answer."""

import gc
import signal
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import options as declared
from bench import units
from bench.measure import provenance, worker
from bench.measure.crew import Crew, started
from bench.report import summary
from bench.runs import case
from bench.suite import checks, selection
from bench.suite.forecast import Forecast
from bench.suite.journal import CaseJournal
from bench.suite.progress import CaseProgress
from bench.suite.watch import Watch
from bench.suite.workbench import Workbench
from mnist_mlp import device
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.errors import UserError
from mnist_mlp.task_source import Source
from mnist_mlp.training import NotFiniteError

NAME = "batch size suite"  # name of the plugin and of its group of options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's options."""
    declared.add(parser.getgroup(NAME).addoption, "suite")


def pytest_configure(config: pytest.Config) -> None:
    """Register the suite, which reads its options."""
    config.addinivalue_line("markers", "each(parameter, kind): a case for each value of the kind")
    is_parallel = config.getoption("dist", "no") != "no" or hasattr(config, "workerinput")
    if config.getoption("benchmark_only") and is_parallel:
        raise pytest.UsageError(
            "benchmarks are not measured in parallel, since they would disturb each other: leave "
            "pytest-xdist's -n and --dist out of a run with --benchmark-only"
        )
    asked = config.getoption("benchmark_only") or not config.getoption("benchmark_skip")
    try:
        suite = Suite(config, is_measuring=asked and not is_parallel)
    except UserError as error:  # an error in the user's task
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(suite, NAME)


@pytest.fixture(scope="session")
def workbench(pytestconfig: pytest.Config) -> Workbench:
    """The task, options and new engines for every case."""
    suite: Suite = pytestconfig.pluginmanager.getplugin(NAME)
    if not suite.workbench:
        pytest.skip("benchmarks are not measured in this run")
    return suite.workbench


@pytest.fixture(scope="session")
def crew(workbench: Workbench) -> Iterator[Crew]:
    """Worker processes that have loaded the data: as many as the largest group needs."""
    chosen = workbench.options
    if device.is_gpu(chosen.device):
        pytest.skip("workers are measured on the CPU")
    most = max(int(group.split("x")[0]) for group in selection.groups_of_workers(chosen))
    workbench.tell(f"starting {most} workers")
    with started(most) as workers:
        workers.ask(worker.load, workbench.source)
        yield workers


class Suite:
    """What the suite adds to a run of pytest and pytest-benchmark."""

    def __init__(self, config: pytest.Config, *, is_measuring: bool) -> None:
        self.workbench: Workbench | None = None  # None until the collection ends
        self._config = config
        self._is_measuring = is_measuring
        # Which cases there are depends on the user's own task.
        self._own_task = Source.of(config.option).load() if config.option.task else None
        selection.fill_in(config.option, self._own_task)
        self._selection = selection.Selection(config, self._own_task)
        self._baselines: list[checks.SavedJson] = []
        self._journal: CaseJournal | None = None
        self._threads_before = torch.get_num_threads()
        self._handlers_before: dict[signal.Signals, Any] = {}
        device.use(config.option.device)
        if device.is_gpu(config.option.device):
            config.option.benchmark_timer = "mnist_mlp.clock.stopwatch"  # waits for the GPU
        if is_measuring:
            torch.set_num_threads(config.option.threads or self._threads_before)
            self._progress = CaseProgress()  # replaces pytest's dots
            config.pluginmanager.register(self._progress)
            if threading.current_thread() is threading.main_thread():
                # Cancelling a job or closing a terminal ends a run as Ctrl-C does.
                for number in (signal.SIGTERM, signal.SIGHUP):
                    before = signal.signal(number, signal.default_int_handler)
                    self._handlers_before[number] = before

    def pytest_unconfigure(self) -> None:
        """Restore garbage collection, torch's thread count and the signal handlers."""
        gc.unfreeze()
        torch.set_num_threads(self._threads_before)
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def pytest_ignore_collect(self, collection_path: Path, config: pytest.Config) -> bool | None:
        """Leave out the files that a run of benchmarks need not import."""
        is_asked = config.getoption("benchmark_only")
        # None lets other plugins decide.
        return True if is_asked and self._selection.ignores(collection_path) else None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Give each case the values that its marks name."""
        self._selection.parametrize(metafunc)

    @pytest.hookimpl(trylast=True)  # -k and -m choose first
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Choose the cases to measure, and refuse a run that would fail later."""
        if not self._is_measuring or self._config.option.collectonly:
            return
        try:
            chosen = self._chosen(items)
        except UserError as error:
            raise pytest.UsageError(str(error)) from error
        kept = set(chosen)
        self._config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = chosen

    def _chosen(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Return the cases to measure in their order; start the journal, and load the task."""
        config, announce = self._config, self._progress.announce
        chosen = self._selection.in_order(selection.with_values(items))
        checks.refuse_what_fails_at_the_end(config, self._session, chosen)
        journal = self._journal = CaseJournal(self._session, announce)
        config.pluginmanager.register(journal)
        if config.getoption("journal"):
            journal.start(config.getoption("journal"))
        if config.getoption("resume"):
            journal.resume(config.getoption("resume"), chosen)
        reruns = config.getoption("rerun_disturbed")
        watch = Watch(self._session, passed=journal.ended, most_reruns=reruns, announce=announce)
        config.pluginmanager.register(watch)
        done = {name for name in journal.ended if not (reruns and watch.is_disturbed(name))}
        chosen = [item for item in chosen if item.nodeid not in done]
        if chosen:
            source = Source.of(config.option)
            self.workbench = Workbench(
                options=config.option,
                source=source,
                task=self._own_task or source.load(),
                tell=self._progress.tell,
                hopeless=journal.hopeless,
            )
        return chosen

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Skip cases that cannot or need not be measured, and say how long the rest will take."""
        if self.workbench:
            gc.collect()
            gc.freeze()  # garbage collections pass over what is imported so far
            forecast = Forecast(self.workbench)
            measured = self._selection.skip(session.items, self.workbench, forecast)
            seconds = forecast.seconds(
                (selection.verb(item), selection.parameters(item)) for item in measured
            )
            number = units.counted(len(measured), "case")
            about = "at most" if self._own_task else "about"  # the steps of an own task are unknown
            self._progress.announce(f"{number}, {about} {units.duration(seconds)}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        """Skip a case that cannot be trained as requested, and go on with the next case."""
        try:
            yield
        except (UnavailableError, NotFiniteError) as error:
            pytest.skip(str(error))

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Add our description of the machine to pytest-benchmark's."""
        machine_info.update(provenance.describe())

    @pytest.hookimpl(wrapper=True)
    def pytest_benchmark_compare_machine_info(
        self, benchmarksession: Any, compared_benchmark: dict[str, Any]
    ) -> Generator[None, object, object]:
        """Remember each baseline that this run is compared with."""
        self._baselines.append(compared_benchmark)
        try:
            return (yield)
        except ValueError:  # pytest-benchmark cannot name a storage outside of the current folder
            text = f"the saved run in {benchmarksession.storage} is of another machine"
            benchmarksession.logger.warning(text)
            return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Save only finished cases: the rounds of a case that Ctrl-C interrupted mean nothing."""
        if not self._journal:
            return (yield)
        ended: dict[str, Any] = {}
        for each in self._session.benchmarks:  # an interrupted second run comes last
            if each and each.fullname in self._journal.ended:
                ended.setdefault(each.fullname, each)
        self._session.benchmarks[:] = ended.values()
        if self._journal.restored and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK  # the journal held every case
        try:
            return (yield)
        except OSError as error:  # pytest-benchmark cannot write, so pytest prints no summary
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            reporter = self._config.pluginmanager.getplugin("terminalreporter")
            self._print_summary(reporter)
            recover = self._journal.recover
            elsewhere = f"; save the run elsewhere with {recover}" if recover else ""
            reporter.write_line(f"error: the run cannot be saved: {error}{elsewhere}", red=True)
            return None

    @pytest.hookimpl(wrapper=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, None, None]:
        """Print our summary after pytest-benchmark's table, which raises if a comparison fails."""
        measured = {each.fullname: each.extra_info for each in self._measured}
        outcomes = list(checks.changed_outcomes(self._baselines, measured))
        if self._session.compare_fail:
            self._session.performance_regressions += outcomes
        try:
            yield
        finally:
            if measured:
                for line in checks.left_out(self._baselines, set(measured)):
                    terminalreporter.write_line(line, yellow=True)
            for name, outcome in outcomes:
                terminalreporter.write_line(f"{outcome}: {name}", yellow=True)
            self._print_summary(terminalreporter)

    @property
    def _session(self) -> Any:
        """pytest-benchmark's session: what it measured, and what it compares."""
        return self._config.pluginmanager.getplugin("pytest-benchmark")

    @property
    def _measured(self) -> list[Any]:
        """pytest-benchmark's records of the cases without errors."""
        return [each for each in self._session.benchmarks if not each.has_error]

    def _print_summary(self, reporter: pytest.TerminalReporter) -> None:
        """Print the tables and the answer, what was skipped and why, and how to go on."""
        cases = []
        for each in self._measured:
            if "engine" in each.extra_info:
                try:
                    cases.append(case.from_json(each.as_dict(include_data=False)))
                except UserError as error:
                    reporter.write_line(f"left out of the tables: {error}", yellow=True)
        if cases:
            details = self._config.option.verbose > 0
            text = summary.render(cases, left_out=self._selection.left_out, details=details)
            reporter.write_line(text)
        if self._is_measuring:
            known = {left.reason for left in self._selection.left_out} if cases else set()
            skipped = [
                report.longrepr[2].removeprefix("Skipped: ")
                for report in reporter.stats.get("skipped", ())
                if isinstance(report.longrepr, tuple)
            ]
            for reason, number in Counter(skipped).items():
                if reason not in known:
                    reporter.write_line(f"{units.counted(number, 'case')} skipped: {reason}")
        if cases and self._selection.is_default:
            reporter.write_line(selection.FULL)
        if self._journal and self._journal.left:
            reporter.write_line(self._journal.left, yellow=True)
