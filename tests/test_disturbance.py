"""Cases that other processes disturbed are found, marked, and run again."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from bench.measure import disturbance
from bench.measure.disturbance import Disturbance, Reading
from tests import idx, suite

CALM = Disturbance(
    seconds=1.0,
    others_share=0.02,
    stolen_share=0.0,
    throttled_share=0.0,
    clock_step_seconds=0.001,
    slept_seconds=0.0,
    counted_seconds=1.0,
)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"others_share": 0.2}, "other processes took 20 % of a core"),
        ({"stolen_share": 0.2}, "the hypervisor took 20 % of a core"),
        ({"stolen_share": 0.2, "counted_seconds": 0.05}, ""),  # one clock tick
        ({"others_share": 0.6, "counted_seconds": 0.02}, ""),
        ({"throttled_share": 0.2}, "its control group was throttled 20 % of the time"),
        ({"clock_step_seconds": -3600.0}, "the clock was set by -3600.00 s"),
        ({"slept_seconds": 60.0}, "the machine slept for 60.0 s"),
    ],
)
def test_a_disturbance_is_named(changed, words):
    """A disturbance that exceeds the system's own noise is named."""
    assert replace(CALM, **changed).cause == words


def reading(*, monotonic, busy, own):
    """The counters at one moment."""
    clocks = dict.fromkeys(("monotonic", "wall", "boot"), monotonic)
    return Reading(**clocks, busy=busy, own=own, stolen=0.0, throttled=0.0)


@pytest.mark.parametrize(("others", "share"), [(0.1, 0.5), (0.03, 0.01)])
def test_a_short_case_is_judged_by_itself_where_others_took_much(others, share):
    """A few ticks may be chance, so they are divided by the time before the case, too."""
    earlier = reading(monotonic=0.0, busy=0.0, own=0.0)
    before = reading(monotonic=2.8, busy=2.0, own=2.0)
    after = reading(monotonic=3.0, busy=2.2 + others, own=2.2)

    assert disturbance.between(earlier, before, after).others_share == pytest.approx(share)


@contextmanager
def stranger():
    """Run a process that takes a core and is no descendant: its parent, a shell, has ended."""
    command = [sys.executable, "-c", "while True: pass"]
    shell = ["sh", "-c", '"$@" > /dev/null 2>&1 & echo $!', "sh", *command]
    number = int(subprocess.run(shell, capture_output=True, text=True, check=True).stdout)
    try:
        yield
    finally:
        os.kill(number, signal.SIGKILL)


def test_a_process_on_the_same_core_is_seen():
    """Time that an unrelated process takes on the same core is seen."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        with stranger():
            start = disturbance.read()
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                pass
            seen = disturbance.between(start, start, disturbance.read())
    finally:
        os.sched_setaffinity(0, before)

    assert seen.others_share > 0.2
    assert abs(seen.clock_step_seconds) < 0.05
    assert seen.slept_seconds < 0.1
    assert "other processes took" in seen.cause


def test_own_processes_are_not_taken_for_others():
    """The CPU time of processes that a case starts is the case's own."""
    before = disturbance.read()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        time.sleep(0.5)
        spent = psutil.Process(child.pid).cpu_times()
        after = disturbance.read()
        child.kill()

    assert after.own - before.own >= spent.user + spent.system - 0.02


def test_a_disturbance_that_was_stored_by_an_earlier_version_is_read():
    """Fields that earlier versions stored and this one does not are ignored."""
    stored = asdict(CALM) | {"waited_share": 0.1, "pressure_share": 0.2, "switches": 3}

    assert disturbance.amount(stored) == pytest.approx(0.02)


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """Measure two cases, each disturbed by the next share of a core; None is a Ctrl-C."""
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
        return done, [case["extra_info"]["disturbance"]["others_share"] for case in cases]

    return run


def test_a_disturbed_case_runs_again_and_the_calmer_run_is_kept(steps):
    """A disturbed case runs again at the end, at most as often as asked; a calm case does not."""
    words = ["--rerun-disturbed=2", "--journal=kept.jsonl"]
    done, shares = steps(0.5, 0.0, 0.3, 0.4, words=words)

    assert done.code == 0, done.output
    assert done.output.count("disturbed, so it runs again at the end") == 2
    assert shares == [0.3, 0.0]
    last = json.loads(Path("kept.jsonl").read_text().splitlines()[-1])
    assert last["extra_info"]["disturbance"]["others_share"] == 0.3


def test_a_second_run_that_is_cut_off_leaves_the_first(steps):
    """If a case's second run is interrupted, the case is saved with its first run."""
    done, shares = steps(0.5, 0.0, None, words=["--rerun-disturbed=1"])

    assert done.code == 2
    assert shares == [0.5, 0.0]


def test_disturbed_cases_of_a_journal_run_again_when_asked(steps):
    """A resumed run repeats disturbed cases if asked, and takes the others from the journal."""
    _, before = steps(0.5, 0.0, words=["--journal=kept.jsonl"])
    done, after = steps(0.2, words=["--resume=kept.jsonl", "--rerun-disturbed=1"])

    assert before == [0.5, 0.0]
    assert done.code == 0, done.output
    assert after == [0.2, 0.0]
