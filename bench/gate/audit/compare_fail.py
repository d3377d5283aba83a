"""The same scenarios put to pytest-benchmark's own --benchmark-compare-fail, for comparison."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import cases
from bench.gate.audit import planting, rates
from bench.gate.audit.scenarios import DIGITS, Scenario


class RunError(Exception):
    """pytest-benchmark's run failed."""


def _measure(tree: Path) -> dict[str, dict[str, float]]:
    """One run of the step cases: each case's min and mean, seconds.

    Raises:
        RunError: it failed.

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
            raise RunError(f"pytest-benchmark's run failed: {done.stdout}{done.stderr}")
        saved = json.loads(file.read_text())
    return {
        case["name"].removeprefix("test_"): {rule: case["stats"][rule] for rule in rates.RULES}
        for case in saved["benchmarks"]
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
            case: {rule: round(head[case][rule] / base[case][rule], DIGITS) for rule in rates.RULES}
            for case in base
        },
    }
