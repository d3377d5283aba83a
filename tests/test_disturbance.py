"""Cases that others disturbed are found, marked, and run again."""

import itertools
import json
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from bench.measure import disturbance
from bench.measure.disturbance import Disturbance, Reading
from bench.report import disturbed, summary
from tests import idx, suite
from tests.runs import case, measured

CALM = Disturbance(
    seconds=1.0,
    waited_share=0.01,
    others_share=0.02,
    stolen_share=0.0,
    pressure_share=0.1,
    throttled_share=0.0,
    switches=3,
    clock_step_seconds=0.001,
    slept_seconds=0.0,
    counted_seconds=1.0,
)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"waited_share": 0.3}, ""),  # its own threads wait for each other, too
        (
            {"waited_share": 0.3, "others_share": 0.2},
            "other processes took 20 % of a core, and its threads waited 0.3 s for one",
        ),
        ({"stolen_share": 0.2}, "the hypervisor took 20 % of a core"),
        ({"stolen_share": 0.2, "counted_seconds": 0.05}, ""),  # a tick
        ({"others_share": 0.6, "counted_seconds": 0.02}, ""),
        ({"throttled_share": 0.2}, "its control group was throttled 20 % of the time"),
        ({"clock_step_seconds": -3600.0}, "the clock was set by -3600.00 s"),
        ({"slept_seconds": 60.0}, "the machine slept for 60.0 s"),
    ],
)
def test_a_disturbance_is_named(changed, words):
    """Where it is more than the system's own noise."""
    assert replace(CALM, **changed).cause == words


def reading(*, monotonic, busy, own):
    """What was counted until a moment."""
    zeros = dict.fromkeys(("waited", "stolen", "pressure", "throttled", "switches"), 0)
    return Reading(monotonic=monotonic, wall=monotonic, boot=monotonic, busy=busy, own=own, **zeros)


@pytest.mark.parametrize(("others", "share"), [(0.1, 0.5), (0.03, 0.01)])
def test_a_short_case_is_judged_by_itself_where_others_took_much(others, share):
    """A few ticks may be chance: they count as a share of what was done before it, too."""
    earlier = reading(monotonic=0.0, busy=0.0, own=0.0)
    before = reading(monotonic=2.8, busy=2.0, own=2.0)
    after = reading(monotonic=3.0, busy=2.2 + others, own=2.2)

    assert disturbance.between(earlier, before, after).others_share == pytest.approx(share)


def spin(share, *, period=0.02):
    """Take a share of a core until killed."""
    while True:
        until = time.perf_counter() + share * period
        while time.perf_counter() < until:
            pass
        time.sleep((1 - share) * period)


@contextmanager
def neighbours(*shares):
    """Processes that take these shares of a core."""
    processes = [
        multiprocessing.get_context("spawn").Process(target=spin, args=(share,), daemon=True)
        for share in shares
    ]
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.join()


@contextmanager
def stranger():
    """A process that takes a core and is no descendant of this one: a shell that ended began it."""
    command = [sys.executable, "-c", "while True: pass"]
    shell = ["sh", "-c", '"$@" > /dev/null 2>&1 & echo $!', "sh", *command]
    number = int(subprocess.run(shell, capture_output=True, text=True, check=True).stdout)
    try:
        yield
    finally:
        os.kill(number, signal.SIGKILL)


def test_a_thread_that_waits_for_its_core_is_seen():
    """Beside a process of somebody else's on the same core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        with stranger():
            before_it = disturbance.read()
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                pass
            found = disturbance.between(before_it, before_it, disturbance.read())
    finally:
        os.sched_setaffinity(0, before)

    assert found.waited_share > 0.2
    assert found.switches > 0
    assert found.others_share > 0.2
    assert abs(found.clock_step_seconds) < 0.05
    assert found.slept_seconds < 0.1
    if Path("/proc/pressure/cpu").exists():
        assert found.pressure_share > 0.2
    assert "other processes took" in found.cause


def test_own_processes_are_not_taken_for_others():
    """Those that a case starts: what they had on the cores is its own."""
    before = disturbance.read()
    with neighbours(1.0) as (child,):
        time.sleep(0.5)
        spent = psutil.Process(child.pid).cpu_times()
        after = disturbance.read()

    assert after.own - before.own >= spent.user + spent.system - 0.02


def test_disturbed_cases_are_marked_and_counted():
    """In the table and in a sentence."""
    cases = measured(
        case("step", 16, 1e-3, disturbed=""),
        case("step", 64, 2e-3, disturbed="it waited for a core for 30% of its time"),
        case("epoch", 64, 2.0),
    )
    text = " ".join(summary.render(cases).split())

    assert "1 ms │" in text
    assert "2 ms * │ 2 s │" in text
    assert "1 of 2 cases were disturbed" in text
    assert "test_step[engine=eager-batch_size=64], for one, since it waited for a core for" in text


def test_a_run_without_disturbance_says_so():
    """And one that nobody watched says nothing."""
    calm = measured(case("step", 16, 1e-3, disturbed=""))

    assert disturbed.sentences(calm) == ["None of 1 cases was disturbed by other processes."]
    assert disturbed.sentences(measured(case("step", 16, 1e-3))) == []


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """Measure two steps, in turn with these shares of a core taken by others; None is a Ctrl-C."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=60, test=20)
    monkeypatch.chdir(tmp_path)

    def run(*shares, words):
        left = iter(shares)

        def between(*_):
            share = next(left)
            if share is None:
                raise KeyboardInterrupt
            return replace(CALM, others_share=share)

        monkeypatch.setattr(disturbance, "between", between)
        done = suite.run(
            *("bench/test_step.py", "--engines=eager", "--batch-sizes=1,2", "--threads=1"),
            *(f"--data-root={tmp_path}", "--benchmark-json=run.json", *words),
        )
        cases = json.loads((tmp_path / "run.json").read_text())["benchmarks"]
        return done, [one["extra_info"]["disturbance"]["others_share"] for one in cases]

    return run


def test_a_disturbed_case_runs_again_and_the_calmer_run_is_kept(steps):
    """At the end, as often as was asked for; a case that was calm does not."""
    words = ["--rerun-disturbed=2", "--journal=kept.jsonl"]
    done, shares = steps(0.5, 0.0, 0.3, 0.4, words=words)

    assert done.code == 0, done.output
    assert done.output.count("disturbed, so it runs again at the end") == 2
    assert shares == [0.3, 0.0]
    assert "1 of 2 cases were disturbed" in done.output
    last = json.loads(Path("kept.jsonl").read_text().splitlines()[-1])
    assert last["extra_info"]["disturbance"]["others_share"] == 0.3


def test_a_second_run_that_is_cut_off_leaves_the_first(steps):
    """The case is saved once, as it was measured to the end."""
    done, shares = steps(0.5, 0.0, None, words=["--rerun-disturbed=1"])

    assert done.code == 2
    assert shares == [0.5, 0.0]


def test_disturbed_cases_of_a_journal_run_again_when_asked(steps):
    """The others are taken from it."""
    _, before = steps(0.5, 0.0, words=["--journal=kept.jsonl"])
    done, after = steps(0.2, words=["--resume=kept.jsonl", "--rerun-disturbed=1"])

    assert before == [0.5, 0.0]
    assert done.code == 0, done.output
    assert after == [0.2, 0.0]


BENCHMARKS = (
    *("bench/test_step.py", "bench/test_epoch.py", "--engines=eager,native"),
    *("--batch-sizes=1,16,64,256,1024", "--epoch-samples=6000"),
)
CALM_RUNS, DISTURBED_RUNS = 6, 20
MOVED = 1.1  # times the median without a neighbour
OVERLAP = 0.1  # of a case, that the neighbour was there for


@pytest.mark.slow
def test_cases_that_a_neighbour_moved_are_marked(tmp_path):
    """Half a core is taken for a tenth of each run: 95 % of what that moves is found.

    Without a neighbour at most 2 % of the cases are marked. Wants a machine that does nothing else.
    """
    calm = [timed_run(tmp_path) for _ in range(CALM_RUNS)]
    usual = {name: statistics.median(run[name].median for run in calm) for name in calm[0]}
    seconds = max(one.end for one in calm[0].values()) - min(one.start for one in calm[0].values())
    draw = random.Random(0)
    moved, marked = [], []
    for _ in range(DISTURBED_RUNS):
        starts_after = draw.uniform(0, 0.9) * seconds
        run = timed_run(tmp_path, neighbour=(starts_after, 0.1 * seconds))
        for name, one in run.items():
            if one.overlap > OVERLAP and one.median > MOVED * usual[name]:
                moved.append(name)
                marked += [name] * one.is_marked
                if not one.is_marked:
                    ratio = one.median / usual[name]
                    sys.stdout.write(f"not marked: {name}, {ratio:.2f} times the usual, {one}\n")
    without = sum(one.is_marked for run in calm for one in run.values())
    moved_alone = sum(one.median > MOVED * usual[name] for run in calm for name, one in run.items())
    cases = sum(map(len, calm))
    sys.stdout.write(
        f"with a neighbour: {len(marked)} of {len(moved)} cases that it moved were marked; "
        f"without: {without} of {cases} were marked, {moved_alone} moved\n"
    )

    assert len(moved) > 10
    assert len(marked) >= 0.95 * len(moved)
    assert without <= 0.02 * cases


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A case of a run: when it ran, what it took, and whether it was marked."""

    start: float
    end: float
    overlap: float  # share of it that the neighbour was there for
    median: float
    is_marked: bool
    disturbance: dict


def timed_run(folder, neighbour=None):
    """Run the benchmarks in a process of their own, beside a neighbour for some of the time."""
    saved, starts, there = folder / "run.json", [], []

    def disturb(after_seconds, for_seconds):
        time.sleep(after_seconds)
        with neighbours(0.5):
            there.append(time.monotonic())
            time.sleep(for_seconds)
            there.append(time.monotonic())

    words = [word.replace("bench/", f"{suite.ROOT}/bench/") for word in BENCHMARKS]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "--benchmark-only", "-p", "no:cacheprovider"),
            *(f"--rootdir={suite.ROOT}", f"-c{suite.ROOT}/pyproject.toml", *words),
            f"--benchmark-json={saved}",
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    disturbing = threading.Thread(target=disturb, args=neighbour) if neighbour else None
    with process:
        for line in process.stdout:
            if line.startswith("[") or (starts and not line.strip() and len(starts) == 20):
                starts.append(time.monotonic())
                if len(starts) == 1 and disturbing:
                    disturbing.start()
    if disturbing:
        disturbing.join()
    cases = json.loads(saved.read_text())["benchmarks"]
    begins, ends = there or (0.0, 0.0)
    return {
        one["fullname"]: Timed(
            start=start,
            end=end,
            overlap=max(0.0, min(end, ends) - max(start, begins)) / (end - start),
            median=one["stats"]["median"],
            is_marked=bool(one["extra_info"]["disturbed"]),
            disturbance=one["extra_info"]["disturbance"],
        )
        for one, (start, end) in zip(cases, itertools.pairwise(starts), strict=True)
    }
