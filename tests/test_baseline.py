"""What pytest-benchmark's comparison passes over."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.suite import baseline
from tests import idx
from tests.runs import case, saved, training

ROOT = Path(__file__).parent.parent
# Both runs in one process, since importing torch takes seconds.
TWO_RUNS = """
import sys
import pytest
common = sys.argv[1:]
assert pytest.main([*common, "--target-accuracy=0.01", "--benchmark-save=base"]) == 0
print("saved")
compare = ["--benchmark-compare", "--benchmark-compare-fail=min:100000%"]
sys.exit(pytest.main([*common, "--target-accuracy=1", *compare]))
"""


def outcomes(before, now):
    """What is found of a baseline's cases beside those of a run."""
    measured = {one["fullname"]: one["extra_info"] for one in now}
    return dict(baseline.changed_outcomes([saved(*before)], measured))


@pytest.mark.parametrize("now_reached", [True, False])
def test_a_target_that_only_one_side_reached_is_named(now_reached):
    """Whichever side it is."""
    before, now = training(64, reached=not now_reached), training(64, reached=now_reached)

    ((name, outcome),) = outcomes([before], [now]).items()

    assert name == "bench/test_convergence.py::test_convergence[engine=eager-batch_size=64]"
    sides = "this run", "the baseline of 2026-01-01T00:00:00"
    reached, missed = sides if now_reached else sides[::-1]
    assert outcome == f"{reached} reached the target and {missed} did not"


def test_equal_outcomes_and_cases_without_a_target_are_not_named():
    """Nor are cases that one side lacks."""
    before = [training(1), training(4, reached=False), training(16), case("step", 1)]
    now = [training(1), training(4, reached=False), training(64), case("step", 1)]

    assert outcomes(before, now) == {}


def test_a_target_that_is_no_longer_reached_fails_the_comparison(tmp_path):
    """It ends sooner, and looks like a speed-up to any tool that reads the times alone."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=100, test=50)
    words = [
        *("--benchmark-only", "-p", "no:cacheprovider", f"{ROOT}/bench/test_convergence.py"),
        *(f"--data-root={tmp_path}", f"--benchmark-storage={(tmp_path / 'storage').as_uri()}"),
        *("--engines=eager", "--batch-sizes=16", "--lr-rules=fixed", "--seeds=0"),
        *("--max-epochs=1", f"--rootdir={ROOT}"),
    ]

    done = subprocess.run(
        [sys.executable, "-c", TWO_RUNS, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    name = "bench/test_convergence.py::test_convergence[engine=eager-batch_size=16-lr_rule=fixed"
    assert "saved\n" in done.stdout
    assert done.returncode != 0
    assert f"reached the target and this run did not: {name}" in done.stdout
    assert "Performance has regressed" in done.stdout + done.stderr
