"""A study of steps to target: its trainings, and the results that are kept."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from bench.best import reference, trial
from bench.best.reference import Reference
from bench.best.trial import TEST, VALIDATION, Trial
from mnist_mlp.evaluation import evaluate
from mnist_mlp.training import Walk
from tests import study
from tests.strategies import new_engine

MAX_EPOCHS = 2


def chosen_trial(**changed):
    """A training that is judged on the test set."""
    fields = {"judged_on": TEST, "batch_size": 64, "learning_rate": 0.4, "seed": 3}
    return Trial(**fields | changed)


def score_after(steps, chosen, task):
    """Score of a separate training, evaluated only after `steps`."""
    subject, judge = trial.judged_by(task, chosen.judged_on)
    engine = new_engine("eager", seed=chosen.seed, learning_rate=chosen.learning_rate)
    generator = torch.Generator().manual_seed(chosen.seed)
    walk = Walk(engine, subject, chosen.batch_size, generator=generator)
    walk.advance(steps)
    return evaluate(engine, judge).score


@pytest.mark.parametrize("judged_on", [TEST, VALIDATION])
@pytest.mark.parametrize("target", [0.6, 0.75])
def test_the_target_lies_between_the_last_two_evaluations(mnist, judged_on, target):
    """A training misses the target at the first of these steps and reaches it at the second."""
    chosen, task = chosen_trial(judged_on=judged_on), replace(mnist, target=target)

    ended = trial.run(chosen, task, "native", max_epochs=MAX_EPOCHS)

    assert ended.reached
    assert ended.below < ended.steps <= ended.below * trial.COARSE + 1
    assert score_after(ended.below, chosen, task) < target
    assert score_after(ended.steps, chosen, task) >= target


def test_the_validation_set_is_not_trained_on(mnist):
    """The validation set is a random part of the training set, the same each time."""
    subject, judge = trial.judged_by(mnist, VALIDATION)

    assert (len(subject), len(judge)) == (57_500, 2_500)
    both = torch.cat([subject.targets, judge.targets])
    assert torch.equal(both.bincount(), mnist.train.targets.bincount())
    assert judge.targets.unique().tolist() == list(range(10))
    assert judge.dataset[0][1] == int(judge.targets[0])
    assert trial.judged_by(mnist, VALIDATION) == (subject, judge)


def test_a_run_ends_with_its_budget_its_cap_or_when_it_diverges(mnist):
    """An outcome says whether a cap ended the run; a run that is told to stop has none."""
    task = replace(mnist, target=0.99, train=mnist.train.head(640))
    run = partial(trial.run, task=task, engine="native", max_epochs=3)

    spent = run(chosen_trial())
    capped = run(chosen_trial(), most_steps=lambda: 12)
    broken = run(chosen_trial(learning_rate=1e38))

    assert (spent.steps, spent.reached, spent.is_capped) == (30, False, False)
    assert (capped.reached, capped.is_capped) == (False, True)
    assert 12 <= capped.steps < 30
    assert broken.diverged
    assert broken.steps_to_target == math.inf
    assert run(chosen_trial(), is_over=lambda: True) is None


def test_bounds_are_found_by_set_and_rate():
    """Seeds without bounds for the target are left out."""
    made = study.findings()
    few = made.fresh[0].model_copy(
        update={"bounds": {study.TARGET: [(90, 100)], 0.9: [(1, 2)] * 6}}
    )

    bounds = made.model_copy(update={"fresh": [few]}).bounds(study.TARGET, judged_on="validation")

    assert bounds == {1: {100: (90, 100)}}


def test_the_study_of_the_package_is_whole():
    """Each target has a tuned rate inside its grid, and twenty fresh seeds, at each size."""
    shipped = Reference.shipped()
    whole = json.loads(Path(reference.__file__).with_name("reference.json").read_text())

    assert shipped.study["dirty"] is False
    assert all(rate["is_interior"] for tuned in whole["tuned"].values() for rate in tuned)
    assert set(shipped.tuned) == {0.9, 0.93, 0.95, 0.97}
    for target, tuned in shipped.tuned.items():
        sizes = [rate.batch_size for rate in tuned]
        assert sizes == [2**power for power in range(11)]
        for judge in ("validation", "test"):
            bounds = shipped.bounds(target, judged_on=judge)
            assert [len(bounds[size]) for size in sizes] == [20] * 11
