"""A study of steps to target: one training, and the results that are kept."""

import json
from pathlib import Path

import pytest
import torch

from bench.best import reference, trial
from bench.best.reference import Reference
from bench.best.trial import Trial
from mnist_mlp.evaluation import evaluate
from mnist_mlp.training import Walk
from tests import study
from tests.strategies import new_engine

TARGETS = (0.6, 0.75)


def chosen_trial(**changed):
    """A training that is judged on the test set."""
    fields = {"judged_on": "test", "batch_size": 64, "learning_rate": 0.4, "seed": 3}
    return Trial(**fields | changed)


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
    """A training that is evaluated there alone agrees."""
    chosen = chosen_trial(judged_on=judged_on)

    found = trial.run(chosen, mnist, TARGETS, most_steps=900)

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
    """A target that it did not reach has no bounds."""
    capped = trial.run(chosen_trial(), mnist, (0.1, 0.99), most_steps=77)
    broken = trial.run(chosen_trial(learning_rate=1e38), mnist, (0.99,), most_steps=9000)

    assert capped.steps == 77
    assert set(capped.bounds) == {0.1}
    assert broken.diverged
    assert broken.steps_to(0.99) == float("inf")


def test_bounds_are_found_by_set_and_rate():
    """A seed that did not try the target is not there."""
    found = study.findings()
    few = found.fresh[0].model_copy(
        update={"bounds": {study.TARGET: [(90, 100)], 0.9: [(1, 2)] * 6}}
    )

    bounds = found.model_copy(update={"fresh": [few]}).bounds(study.TARGET, judged_on="validation")

    assert bounds == {1: {100: (90, 100)}}


def test_the_study_of_the_package_is_whole():
    """Each target has a tuned rate inside its grid, and twenty fresh seeds, at each size."""
    found = Reference.shipped()

    whole = json.loads(Path(reference.__file__).with_name("reference.json").read_text())

    assert found.study["dirty"] is False
    assert all(rate["is_interior"] for tuned in whole["tuned"].values() for rate in tuned)
    assert set(found.tuned) == {0.9, 0.93, 0.95, 0.97}
    for target, tuned in found.tuned.items():
        assert [one.batch_size for one in tuned] == [2**power for power in range(11)]
        for judge in ("validation", "test"):
            bounds = found.bounds(target, judged_on=judge)
            assert [len(bounds[one.batch_size]) for one in tuned] == [20] * 11
