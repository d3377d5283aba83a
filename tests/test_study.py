"""Steps to target: one run, and the whole study by its command."""

import json

import pytest
import torch

from bench import __main__ as bench_main
from bench.study import trial
from bench.study.trial import Setting, Task
from mnist_mlp.evaluation import evaluate
from mnist_mlp.training import Walk
from tests.strategies import new_engine

TARGETS = (0.6, 0.75)
SMALL = [
    *("--batch-sizes=64,256", "--targets=0.6,0.75", "--tuning-seeds=2", "--fresh-seeds=2"),
    "--max-epochs=1",
]


def setting(**changed):
    """A run on the test set."""
    fields = {"judged_on": "test", "batch_size": 64, "learning_rate": 0.4, "seed": 3}
    return Setting(**fields | changed)


def accuracy_after(steps, chosen, data):
    """Of a training of its own, evaluated once."""
    subject, judge = trial.judged_by(data, chosen.judged_on)
    engine = new_engine("eager", seed=chosen.seed)
    engine.learning_rate = chosen.learning_rate
    generator = torch.Generator().manual_seed(chosen.seed)
    walk = Walk(engine, subject, chosen.batch_size, generator=generator)
    walk.advance(steps)
    return evaluate(engine.logits, judge).accuracy


@pytest.mark.parametrize("judged_on", ["test", "validation"])
def test_each_target_lies_between_its_bounds(mnist, judged_on):
    """As a training that is evaluated there alone finds, too."""
    chosen = setting(judged_on=judged_on)

    found = trial.train(Task(setting=chosen, targets=TARGETS, most_steps=900), mnist)

    for target in TARGETS:
        low, high = found.bounds[target]
        assert low < high <= found.steps
        assert accuracy_after(low, chosen, mnist) < target <= accuracy_after(high, chosen, mnist)
        assert high <= low * trial.COARSE + 1


def test_the_validation_set_is_not_trained_on(mnist):
    """It is the last sixth of the training set."""
    subject, judge = trial.judged_by(mnist, "validation")

    assert (len(subject), len(judge)) == (50_000, 10_000)
    assert torch.equal(torch.cat([subject.labels, judge.labels]), mnist.train.labels)
    assert judge.dataset[0][1] == int(judge.labels[0])


def test_a_run_ends_with_its_budget_or_when_it_diverges(mnist):
    """Then what it did not reach has no bounds."""
    capped = trial.train(Task(setting=setting(), targets=(0.1, 0.99), most_steps=77), mnist)
    broken = trial.train(
        Task(setting=setting(learning_rate=1e38), targets=(0.99,), most_steps=9000), mnist
    )

    assert capped.steps == 77
    assert set(capped.bounds) == {0.1}
    assert broken.diverged
    assert broken.steps_to(0.99) == float("inf")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """The ledger of a small study, and its summary."""
    folder = tmp_path_factory.mktemp("study")
    words = ["steps", str(folder / "a.jsonl"), *SMALL, f"--summary={folder / 'a.json'}"]
    assert bench_main.main(words) == 0
    return folder / "a.jsonl"


def test_a_study_tunes_rates_and_tries_them_with_fresh_seeds(ledger):
    """At each batch size and for each target, on both sets, and at the fixed rate."""
    summary = json.loads(ledger.with_name("a.json").read_text())

    assert summary["study"]["data"] == "MNIST"
    for target in ("0.6", "0.75"):
        found = summary["tuned"][target]
        assert [each["batch_size"] for each in found] == [64, 256]
        for each in found:
            assert each["is_interior"]
            best = each["median_steps"][f"{each['learning_rate']}"]
            assert best == min(steps for steps in each["median_steps"].values() if steps)
    groups = {
        (each["batch_size"], each["learning_rate"], each["judged_on"]): each
        for each in summary["fresh"]
    }
    for size in (64, 256):
        for judge in ("validation", "test"):
            assert groups[size, 0.1, judge]["seeds"] == [100, 101]
            assert len(groups[size, 0.1, judge]["bounds"]["0.6"]) == 2


def test_a_study_goes_on_where_it_ended(ledger, tmp_path, capsys):
    """What is there is not run again; what was lost is, with the same result."""
    lines = ledger.read_text().splitlines(keepends=True)
    shorter = tmp_path / "shorter.jsonl"
    shorter.write_text("".join(lines[:-1]) + lines[-1][:20])

    assert bench_main.main(["steps", str(shorter), *SMALL]) == 0

    assert sorted(shorter.read_text().splitlines()) == sorted(ledger.read_text().splitlines())
    assert "steps to accuracy 0.75" in capsys.readouterr().out


def test_a_study_with_other_options_is_refused(ledger, capsys):
    """Its file is left as it is."""
    before = ledger.read_text()

    assert bench_main.main(["steps", str(ledger), *SMALL, "--max-epochs=2"]) == 1

    assert "holds a study with another plan" in capsys.readouterr().err
    assert ledger.read_text() == before
