"""A new engine is its file and one line in the registry: everything else finds it there."""

import os
import subprocess
import sys

from bench import __main__ as bench_main
from tests import idx, suite

NEW_ENGINE = """
from mnist_mlp.engines import ENGINES
from mnist_mlp.engines.eager import Eager

class Warp(Eager):
    name = "warp"

ENGINES["warp"] = "warp:Warp"
"""
# One process for all, since importing torch takes seconds.
USE_IT = """
import sys
import pytest
import warp
from contextlib import suppress
from bench.__main__ import main
with suppress(SystemExit):
    main(["sweet-spot", "--help"])
pytest.main(["--help"])
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_a_registered_engine_is_in_the_options_the_help_the_table_and_the_report(tmp_path):
    """No file but the registry names the engines."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=100, test=50)
    (tmp_path / "warp.py").write_text(NEW_ENGINE)
    run, page = tmp_path / "run.json", tmp_path / "report.html"
    words = [
        *("--benchmark-only", "-p", "no:cacheprovider", f"--benchmark-json={run}"),
        *(f"--data-root={tmp_path}", "--batch-sizes=20", "--engines=warp,eager"),
        *("bench/test_step.py", "bench/test_epoch.py"),
    ]

    places = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", USE_IT, *words],
        cwd=suite.ROOT,
        env=os.environ | {"PYTHONPATH": places, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    searches_help, suites_help = done.stdout.split("usage: ")[1:]
    for shown in (searches_help, suites_help):
        assert "ways to train: loader, eager, compiled, native, ddp, warp" in " ".join(
            shown.split()
        )
    assert "warp engine: KMNIST, cpu" in done.stdout
    assert bench_main.main(["report", str(run), "-o", str(page)]) == 0
    assert "<td>warp</td>" in page.read_text()
