"""The same scenarios put to pytest-benchmark's own --benchmark-compare-fail, for comparison."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.gate.audit.record import COMPARE_FAIL_FIELDS, DIGITS
from bench.gate.audit.scenarios import Scenario, trees
from bench.gate.command import default_arguments
from bench.gate.company import QUIET_OPENMP, THREAD_COUNTS
from bench.gate.comparison import choose_cores
from bench.runs import files


class PytestBenchmarkError(Exception):
    """A run of pytest-benchmark failed."""


def run(scenario: Scenario, tree: Path) -> dict[str, Any]:
    """The same question to pytest-benchmark's own rules: base, then head, one run each."""
    started, cores = time.monotonic(), choose_cores(1)
    arguments = default_arguments(tree)
    with trees(scenario, tree) as planted:
        base, head = (_measure(one, arguments, cores) for one in planted)
    return {
        "scenario": f"pytest-benchmark, {scenario.name}",
        "took_seconds": round(time.monotonic() - started, 1),
        "ratios": {
            case: {
                field: round(head[case][field] / base[case][field], DIGITS)
                for field in COMPARE_FAIL_FIELDS
            }
            for case in base
        },
    }


def _measure(tree: Path, arguments: Sequence[str], cores: list[int]) -> dict[str, dict[str, float]]:
    """One run of the gate's cases, one thread on one core: each case's min and mean, seconds.

    Raises:
        PytestBenchmarkError: the run failed.

    """
    counts = dict.fromkeys(THREAD_COUNTS, "1")
    path = f"{tree / 'src'}{os.pathsep}{tree}"
    with tempfile.TemporaryDirectory(prefix="gate-rules-") as folder:
        file = Path(folder) / "run.json"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "--benchmark-only", "-p", "no:cacheprovider"),
                *(*arguments, f"--benchmark-json={file}"),
            ],
            cwd=tree,
            env=os.environ | QUIET_OPENMP | counts | {"PYTHONPATH": path},
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PytestBenchmarkError(f"pytest-benchmark's run failed: {done.stdout}{done.stderr}")
        measured = files.read(file).cases
    return {case.name: {"min": case.min_seconds, "mean": case.mean_seconds} for case in measured}
