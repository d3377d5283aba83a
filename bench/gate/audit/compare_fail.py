"""The same scenarios put to pytest-benchmark's own --benchmark-compare-fail, for comparison."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import cases
from bench.gate.audit import planting
from bench.gate.audit.record import COMPARE_FAIL_FIELDS, DIGITS
from bench.gate.audit.scenarios import Scenario
from bench.runs import files


class PytestBenchmarkError(Exception):
    """A run of pytest-benchmark failed."""


def _measure(tree: Path) -> dict[str, dict[str, float]]:
    """One run of the step cases: each case's min and mean, seconds.

    Raises:
        PytestBenchmarkError: the run failed.

    """
    sizes = ",".join(map(str, cases.GATE_BATCH_SIZES["step"]))
    with tempfile.TemporaryDirectory(prefix="gate-rules-") as folder:
        file = Path(folder) / "run.json"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "--benchmark-only", "-p", "no:cacheprovider"),
                *("bench/test_step.py", "--engines=eager", f"--batch-sizes={sizes}"),
                f"--benchmark-json={file}",
            ],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PytestBenchmarkError(f"pytest-benchmark's run failed: {done.stdout}{done.stderr}")
        measured = files.read(file).cases
    return {
        case.name.removeprefix("test_"): {"min": case.min_seconds, "mean": case.mean_seconds}
        for case in measured
    }


def run(scenario: Scenario, tree: Path) -> dict[str, Any]:
    """The same question to pytest-benchmark's own rules: base, then head, one run each."""
    started = time.monotonic()
    with planting.planted(tree, scenario.plants) as copy:
        base, head = _measure(tree), _measure(copy)
    return {
        "scenario": f"pytest-benchmark, {scenario.name}",
        "guilty": scenario.guilty,
        "planted": bool(scenario.plants),
        "took_seconds": round(time.monotonic() - started, 1),
        "ratios": {
            case: {
                field: round(head[case][field] / base[case][field], DIGITS)
                for field in COMPARE_FAIL_FIELDS
            }
            for case in base
        },
    }
