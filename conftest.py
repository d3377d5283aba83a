"""Binds the suite's command-line options to its cases; what measures is in bench/."""

import signal
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import units
from bench.measure import machine, worker_time
from bench.measure.crew import Crew, started
from bench.report import summary
from bench.runs import case
from bench.suite import baseline, options, parameters
from bench.suite.forecast import Forecast
from bench.suite.journal import CaseJournal
from bench.suite.options import Options
from bench.suite.progress import CaseProgress
from bench.suite.saving import Saving
from bench.suite.watch import Watch
from bench.suite.workbench import Workbench
from mnist_mlp import cache, datasets, device
from mnist_mlp.data import Data

TESTS = Path(__file__).parent / "tests"
OPTIONS = pytest.StashKey[Options]()
DATA = pytest.StashKey[Data]()
BASELINES = pytest.StashKey[list[baseline.SavedJson]]()
PROGRESS = pytest.StashKey[CaseProgress]()
THREADS_BEFORE = pytest.StashKey[int]()
JOURNAL = pytest.StashKey[CaseJournal]()
SAVING = pytest.StashKey[Saving]()
HANDLERS_BEFORE = pytest.StashKey[dict[signal.Signals, Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's options."""
    options.add_to(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and show progress in place of dots when benchmarks run."""
    config.addinivalue_line("markers", parameters.DESCRIPTION)
    config.stash[OPTIONS] = options.read(config)
    config.stash[BASELINES] = []
    config.stash[THREADS_BEFORE] = torch.get_num_threads()
    device.use(config.stash[OPTIONS].device)
    if device.is_gpu(config.stash[OPTIONS].device):
        config.option.benchmark_timer = "mnist_mlp.clock.stopwatch"  # waits for the GPU
    if is_measuring(config):
        torch.set_num_threads(config.stash[OPTIONS].threads or torch.get_num_threads())
        config.stash[PROGRESS] = CaseProgress()
        config.pluginmanager.register(config.stash[PROGRESS])
        if threading.current_thread() is threading.main_thread():
            # A job that is cancelled and a terminal that is closed end a run as Ctrl-C does.
            config.stash[HANDLERS_BEFORE] = {
                number: signal.signal(number, signal.default_int_handler)
                for number in (signal.SIGTERM, signal.SIGHUP)
            }


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave torch's thread count and the signals as they were."""
    if THREADS_BEFORE in config.stash:
        torch.set_num_threads(config.stash[THREADS_BEFORE])
    for number, handler in config.stash.get(HANDLERS_BEFORE, {}).items():
        signal.signal(number, handler)


def is_measuring(config: pytest.Config) -> bool:
    """Whether pytest-benchmark's options let benchmark cases run."""
    return bool(config.getoption("benchmark_only") or not config.getoption("benchmark_skip"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each benchmark case the values that its marks name."""
    parameters.parametrize(metafunc, metafunc.config.stash[OPTIONS])


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the tests' files out of a run of benchmarks, which would import them for seconds."""
    is_left_out = config.getoption("benchmark_only") and TESTS in collection_path.parents
    return True if is_left_out else None  # None lets other plugins decide


@pytest.hookimpl(trylast=True)  # after -k and -m have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a journal of what is measured, and leave out what an earlier process has measured."""
    file, resumed = config.getoption("journal"), config.getoption("resume")
    if file and resumed:
        raise pytest.UsageError("--resume goes on with its own journal: leave --journal out")
    if not is_measuring(config) or config.option.collectonly:
        return
    announce = config.stash[PROGRESS].announce
    config.stash[SAVING] = Saving(benchmark_session(config))
    kept = CaseJournal(benchmark_session(config), config.stash[OPTIONS], announce)
    config.stash[JOURNAL] = kept
    config.pluginmanager.register(kept)
    if file:
        kept.start(file)
    if resumed:
        kept.resume(resumed, items)
    reruns = config.getoption("rerun_disturbed")
    watch = Watch(
        benchmark_session(config), passed=kept.ended, most_reruns=reruns, announce=announce
    )
    config.pluginmanager.register(watch)
    done = {name for name in kept.ended if not (reruns and watch.is_disturbed(name))}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
    items[:] = [item for item in items if item.nodeid not in done]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Load the data before any case runs, so that an error in it is reported once."""
    config = session.config
    if is_measuring(config) and session.items and not config.option.collectonly:
        chosen = config.stash[OPTIONS]
        try:
            config.stash[DATA] = datasets.load(
                data_root=chosen.data_root, cache_dir=chosen.cache_dir, device=chosen.device
            )
        except (datasets.DataError, cache.CacheError) as error:
            raise pytest.UsageError(str(error)) from error


def pytest_runtestloop(session: pytest.Session) -> None:
    """Say how long a run of benchmarks will take."""
    if DATA in session.config.stash:
        print_forecast(session)


def print_forecast(session: pytest.Session) -> None:
    """Say how long the cases will take, from first short calls."""
    chosen = [
        (item.originalname.removeprefix("test_"), item.callspec.params)
        for item in session.items
        if isinstance(item, pytest.Function)
        and hasattr(item, "callspec")
        and not any(all(mark.args) for mark in item.iter_markers("skipif"))
    ]
    seconds = Forecast(new_workbench(session.config)).seconds(chosen)
    text = f"{units.counted(len(session.items), 'case')}, about {units.duration(seconds)}"
    session.config.stash[PROGRESS].announce(text)


@pytest.fixture(scope="session")
def workbench(pytestconfig: pytest.Config) -> Workbench:
    """Data, options and new engines for every case."""
    return new_workbench(pytestconfig)


@pytest.fixture(scope="session")
def crew(workbench: Workbench) -> Iterator[Crew]:
    """Worker processes that have loaded the data, as many as a case asks for at the most."""
    chosen = workbench.options
    if device.is_gpu(chosen.device):
        pytest.skip("workers are measured on the CPU")
    most = max(int(group.split("x")[0]) for group in chosen.groups)
    workbench.tell(f"starting {most} workers")
    with started(most) as workers:
        workers.ask(worker_time.load, chosen.data_root, chosen.cache_dir)
        yield workers


def new_workbench(config: pytest.Config) -> Workbench:
    """Gather what the options and the data make."""
    stash = config.stash
    hopeless = {
        (info["engine"], info["batch_size"], info["lr_rule"])
        for info in (case["extra_info"] for case in stash[JOURNAL].restored)
        if info.get("seeds_left_out")
    }
    return Workbench(
        options=stash[OPTIONS], data=stash[DATA], tell=stash[PROGRESS].tell, hopeless=hopeless
    )


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Add to what saved runs store about the machine."""
    machine_info.update(machine.describe())


def pytest_benchmark_compare_machine_info(
    config: pytest.Config, compared_benchmark: dict[str, Any]
) -> None:
    """Remember each baseline that this run is compared with."""
    config.stash[BASELINES].append(compared_benchmark)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Save the cases that ended: one that Ctrl-C cut off has rounds, and says nothing of them."""
    stash = session.config.stash
    if JOURNAL in stash:
        benchmarks = benchmark_session(session.config).benchmarks
        ended: dict[str, Any] = {}
        for one in benchmarks:  # a second run of a case that was cut off comes after the first
            if one and one.fullname in stash[JOURNAL].ended:
                ended.setdefault(one.fullname, one)
        benchmarks[:] = ended.values()
        if stash[JOURNAL].restored and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK  # the journal held every case
    yield
    if SAVING in stash and stash[SAVING].failures:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    """Print our summary after pytest-benchmark's table, which raises when a comparison fails."""
    comparison = benchmark_session(config)
    outcomes = changed_outcomes(config)
    if comparison.compare_fail:
        comparison.performance_regressions += outcomes
    try:
        yield
    finally:
        benchmarks = [one for one in comparison.benchmarks if not one.has_error]
        names = {one.fullname for one in benchmarks}
        baselines = config.stash[BASELINES]
        for line in baseline.left_out(baselines, names):
            terminalreporter.write_line(line, yellow=True)
        for name, outcome in outcomes:
            terminalreporter.write_line(f"{outcome}: {name}", yellow=True)
        measured = [
            case.from_json(one.as_dict(include_data=False))
            for one in benchmarks
            if "engine" in one.extra_info
        ]
        if measured:
            details = config.option.verbose > 0
            terminalreporter.write_line(summary.render(measured, details=details))
        if is_measuring(config):
            print_skips(terminalreporter)
        print_losses(terminalreporter, config.stash)


def print_skips(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why cases were skipped, each reason once."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple)
    )
    for reason, cases in reasons.items():
        terminalreporter.write_line(f"{units.counted(cases, 'case')} skipped: {reason}")


def print_losses(terminalreporter: pytest.TerminalReporter, stash: pytest.Stash) -> None:
    """Say what could not be saved, and how to go on with a run that was cut off."""
    if SAVING in stash:
        for failure in stash[SAVING].failures:
            terminalreporter.write_line(f"error: {failure}{stash[JOURNAL].elsewhere}", red=True)
    if JOURNAL in stash and stash[JOURNAL].left:
        terminalreporter.write_line(stash[JOURNAL].left, yellow=True)


def changed_outcomes(config: pytest.Config) -> list[tuple[str, str]]:
    """Return the cases that missed the target in a baseline or in this run, but not in both."""
    baselines, benchmarks = config.stash[BASELINES], benchmark_session(config).benchmarks
    measured = {one.fullname: one.extra_info for one in benchmarks if not one.has_error}
    return list(baseline.changed_outcomes(baselines, measured))


def benchmark_session(config: pytest.Config) -> Any:
    """Return pytest-benchmark's session: what it measured, and what it compares."""
    return config.pluginmanager.getplugin("pytest-benchmark")
