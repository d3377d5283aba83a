"""Which cases a run measures, in which order, and what it leaves out."""

import re

import pytest

from bench import cases
from bench.suite.forecast import Forecast
from tests import idx, suite

ENGINES = ("loader", "eager", "compiled", "native")
AXES = ("alignment", "loading", "peers", "threads", "workers")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the suite in its own folder, on 100 random images."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=100, test=20)
    monkeypatch.chdir(suite.ROOT)
    own = f"--data-root={tmp_path}", f"--benchmark-storage={(tmp_path / 'storage').as_uri()}"
    return lambda *words: suite.run(*own, *words)


@pytest.fixture
def chosen(run, monkeypatch):
    """Return a run's case names and the number of cases in its forecast; no case runs."""
    monkeypatch.setattr("_pytest.runner.runtestprotocol", lambda *_, **__: [])

    def names(*words):
        output = run(*words).output
        names = re.findall(r"^\[.*\] bench/test_(\S+)$", output, re.MULTILINE)
        return names, int(re.search(r"^(\d+) cases?, about", output, re.MULTILINE).group(1))

    return names


def sizes(names, part):
    """Batch sizes of the cases whose names contain `part`."""
    return {int(re.search(r"batch_size=(\d+)", name).group(1)) for name in names if part in name}


def test_a_default_run_measures_the_question_first(chosen, monkeypatch):
    """The question's cases come first, then times, then trainings; slow epochs are left out."""
    slow = {"loader": 9, "eager": 4, "compiled": 3, "native": 1}
    monkeypatch.setattr(Forecast, "epoch_seconds", lambda _, engine, __: slow[engine])
    names, measured = chosen()

    first = [
        f"{verb}.py::test_{verb}[engine=loader-batch_size={size}]"
        for size in (1, 60000)
        for verb in ("step", "epoch")
    ]
    verbs = [name.partition(".")[0] for name in names]
    of_engines = 2 * len(ENGINES) * len(cases.BATCH_SIZES)
    assert names[:4] == first
    assert set(verbs[:of_engines]) == {"step", "epoch"}
    assert set(verbs[of_engines:]) == {"convergence"}
    assert sizes(names, "step") == set(cases.BATCH_SIZES)
    assert sizes(names, "seed=2") == set(cases.CONVERGENCE_BATCH_SIZES)
    assert measured == len(names) - 4 - 7  # 4 epochs of loader and 7 of eager are left out


def test_what_is_named_is_measured_as_ever_and_full_measures_everything(chosen):
    """A named file or engine runs at all sizes; named sizes run in a default run's files."""
    by_file, measured = chosen("bench/test_epoch.py", "bench/test_step.py")
    by_engine, _ = chosen("--engines=eager")
    by_size, _ = chosen("--batch-sizes=7,9")
    full, _ = chosen("--full")

    everywhere = set(cases.ALL_BATCH_SIZES)
    assert measured == len(by_file) == 2 * len(ENGINES) * len(everywhere)
    assert [name.partition(".")[0] for name in by_file] == sorted(
        name.partition(".")[0] for name in by_file
    )
    assert sizes(by_engine, "epoch") == everywhere
    assert sizes(by_engine, "seed") == set(cases.ALL_CONVERGENCE_BATCH_SIZES)
    assert sizes(by_size, "[") == {7, 9}
    assert len(by_size) == 2 * (2 * len(ENGINES) + len(cases.LR_RULES) * len(cases.SEEDS))
    assert sizes(full, "step[") == everywhere
    assert {name.partition(".")[0] for name in full} == {"step", "epoch", "convergence", *AXES}
    assert not {name.partition(".")[0] for name in by_engine} & {*AXES}


def test_what_is_left_out_is_skipped_for_a_reason_that_is_told_once(run):
    """A reason is printed once, and the end says what a full run would add."""
    done = run("-k=epoch and loader")

    assert done.code == 0, done.output
    assert "3 passed, 4 skipped" in done.output
    assert done.output.count("a default run times these epochs at 1, 256 and 60000 only") == 1
    assert (
        "\n--full adds 6 batch sizes, the cases left out, every seed, and loading, threads, workers"
        in done.output
    )


def test_a_full_run_trains_every_seed(run):
    """With --full, later seeds train although the first seed clearly misses the target."""
    words = "--batch-sizes=50", "--engines=eager", "--max-epochs=1", "-k=convergence and fixed"

    assert "3 passed" in run(*words, "--full").output
    assert "1 passed, 2 skipped" in run(*words).output


def test_a_default_run_of_a_task_ends_at_its_number_of_samples(monkeypatch):
    """A task has its own rules for the rate, and the eager engine trains to its target."""
    monkeypatch.setattr("_pytest.runner.runtestprotocol", lambda *_, **__: [])
    monkeypatch.chdir(suite.ROOT)

    output = suite.run("--task=tests/own_task.py").output

    names = re.findall(r"^\[.*\] bench/test_(\S+)$", output, re.MULTILINE)
    assert sizes(names, "[") == {1, 4, 16, 64, 120}
    assert {re.sub("-b.*-l", "-l", name) for name in names if "seed=0" in name} == {
        f"convergence.py::test_convergence[engine=eager-lr_rule={rule}-seed=0]"
        for rule in ("fixed", "sqrt")
    }
    assert re.search(r"^\d+ cases, at most ", output, re.MULTILINE)
