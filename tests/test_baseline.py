"""Changes that pytest-benchmark's comparison of times does not see."""

import pytest

from bench.suite import checks
from tests import idx, suite
from tests.runs import case, saved, training


@pytest.mark.parametrize("now_reached", [True, False])
def test_a_target_that_only_one_side_reached_is_named(now_reached):
    """Equal outcomes, cases without a target and cases of one side only are not named."""
    alike = [training(1), training(4, reached=False), case("step", 1)]
    before = saved(training(64, reached=not now_reached), training(16), *alike)
    now = [training(64, reached=now_reached), training(256), *alike]

    measured = {each["fullname"]: each["extra_info"] for each in now}
    ((name, outcome),) = checks.changed_outcomes([before], measured)

    assert name == "bench/test_convergence.py::test_convergence[engine=eager-batch_size=64]"
    sides = "this run", "the baseline of 2026-01-01T00:00:00"
    reached, missed = sides if now_reached else sides[::-1]
    assert outcome == f"{reached} reached the target and {missed} did not"


def test_a_target_that_is_no_longer_reached_fails_the_comparison(tmp_path, monkeypatch):
    """A training that misses the target ends sooner, and its time looks like a speed-up."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=100, test=50)
    monkeypatch.chdir(tmp_path)
    words = [
        *("bench/test_convergence.py", f"--data-root={tmp_path}", "--max-epochs=1"),
        *("--engines=eager", "--batch-sizes=16", "--lr-rules=fixed", "--seeds=0"),
        f"--benchmark-storage={(tmp_path / 'storage').as_uri()}",
    ]

    before = suite.run(*words, "--target-accuracy=0.01", "--benchmark-save=base")
    compare = "--benchmark-compare", "--benchmark-compare-fail=min:100000%"
    done = suite.run(*words, "--target-accuracy=1", *compare)

    name = "bench/test_convergence.py::test_convergence[engine=eager-batch_size=16-lr_rule=fixed"
    assert before.code == 0
    assert done.code != 0
    assert f"reached the target and this run did not: {name}" in done.output
    assert "Performance has regressed" in done.output
