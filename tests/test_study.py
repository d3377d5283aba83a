"""Steps to target: one run of a study."""

import pytest
import torch

from bench.best import trial
from bench.best.trial import Setting, Task
from mnist_mlp.evaluation import evaluate
from mnist_mlp.training import Walk
from tests.strategies import new_engine

TARGETS = (0.6, 0.75)


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
