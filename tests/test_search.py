"""A search over trainings with made-up steps, which may be interrupted anywhere."""

import math
import random
from argparse import Namespace
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest

from bench.best import answer, search_command
from bench.best.findings import Findings
from bench.best.ledger import Ledger
from bench.best.search_command import Search
from bench.best.trainings import TimeUpError, Trainings
from bench.best.trial import Outcome
from bench.measure.fitting import Fitting
from mnist_mlp.engines.engine import UnavailableError
from tests.strategies import new_data

MAX_EPOCHS = 500
SIZES = [2**power for power in range(9)]
SIZES += [3 * size // 2 for size in SIZES[1:-1]]


def outcome(trial):
    """Steps of S(B) = 300 (1 + 20 / B), more at other rates, with a spread over seeds."""
    best_rate = 1 / (1 + 20 / trial.batch_size)
    away = math.log2(trial.learning_rate / best_rate)
    spread = np.random.default_rng([trial.batch_size, trial.seed]).normal(0, 0.05)
    steps = round(300 * (1 + 20 / trial.batch_size) * 2 ** (away**2) * math.exp(spread))
    budget = MAX_EPOCHS * 600 // trial.batch_size
    most = min(steps, budget)
    return Outcome(steps=most, below=most - 1, score=most / steps, reached=steps <= budget)


class Pool:
    """Gives outcomes at once; after some trainings, raises KeyboardInterrupt."""

    def __init__(self, trainings_left, cap, broken):
        self.left, self.cap, self.broken, self.caps = trainings_left, cap, broken, []

    def submit(self, _, trial, __):
        """Return a future that is done."""
        ended = Future()
        self.caps.append(self.cap.value)
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        if trial.batch_size == self.broken:
            ended.set_exception(UnavailableError("no batch of one"))
        else:
            ended.set_result(outcome(trial))
        return ended


@pytest.fixture
def search(tmp_path):
    """Run or resume a search for so many trainings; return its findings and its ledger."""

    def go_on(
        trainings_left=math.inf, *, file="runs.jsonl", deadline=math.inf, broken=0, **options
    ):
        task = new_data(600, 10)
        findings = Findings(
            task=task,
            engine="eager",
            threads=1,
            max_epochs=MAX_EPOCHS,
            rate=lambda _, place: 0.1 * 2 ** (place / 2),
        )
        findings.turns = {size: [[1e-3 + 2e-5 * size] * 3] * 2 for size in SIZES}
        asked = {"batch_sizes": None, "rates": None, "seeds": None} | options
        subject = Search(options=Namespace(**asked), source=None, findings=findings)
        ledger = Ledger(tmp_path / file, {})
        cap = SimpleNamespace(value=math.inf)
        pool = Pool(trainings_left, cap, broken)
        train = Trainings(ledger=ledger, pools=[pool], most_steps=cap, deadline=deadline)
        findings.caps = pool.caps
        try:
            subject.tune(train, deadline)
            subject.train_fresh_seeds(train)
        except KeyboardInterrupt:
            pass
        finally:
            ledger.close()
        return findings, ledger

    return go_on


def test_the_best_of_all_sizes_is_named(search):
    """The best size is within 10 % of the fastest, from less than a fifth of all trainings."""
    findings, ledger = search()

    times = findings.times()
    true = {size: 300 * (1 + 20 / size) * (1e-3 + 2e-5 * size) for size in SIZES}
    assert true[times.best] <= 1.1 * min(true.values())
    assert "".join(answer.lines(findings)).startswith(f"Batch size {times.best} at rate ")
    samples = sum(each.steps * trial.batch_size for trial, each in ledger.outcomes.items())
    assert samples < 0.2 * 5 * len(SIZES) * 20 * 300 * 100


@pytest.mark.parametrize("cut", range(20))
def test_a_search_that_is_interrupted_and_resumed_repeats_no_training(search, cut):
    """An interrupted and resumed search gives the answer of an uninterrupted one."""
    whole, all_made = search(file="whole.jsonl")
    made = random.Random(cut).randrange(len(all_made.outcomes))

    partial, first = search(made)
    lines = answer.lines(partial) if partial.tuned else []
    again, second = search()

    assert len(first.outcomes) == made
    assert not lines or "Batch size" in lines[0] or "No batch size" in lines[0]
    assert second.outcomes == all_made.outcomes
    assert answer.lines(again) == answer.lines(whole)
    assert len(second.file.read_text().splitlines()) == 1 + len(all_made.outcomes)


def test_a_deadline_in_the_past_trains_nothing(search):
    """A search whose deadline is past raises an error, and the command prints what there is."""
    with pytest.raises(TimeUpError):
        search(deadline=0.0)


def test_a_training_of_a_race_is_capped_by_the_fastest_so_far(search):
    """The cap falls after the first trainings; fresh seeds have no cap."""
    findings, _ = search()

    caps = findings.caps
    assert caps[0] == math.inf
    assert min(caps) < math.inf
    assert caps[-1] == math.inf, "fresh seeds race with nobody"


def test_a_size_that_cannot_be_trained_is_left_out_and_the_search_goes_on(search):
    """A size may fail only in training, as with a last batch of a single sample."""
    findings, _ = search(broken=32)

    assert 32 not in findings.tuned
    assert {16, 64} <= findings.tuned.keys()
    assert "Batch size 32 is left out: no batch of one." in answer.lines(findings)


def test_sizes_that_are_asked_for_all_get_fresh_seeds(search):
    """Each size that is asked for gets fresh seeds, as in a study."""
    findings, _ = search(batch_sizes=(4, 32, 600), seeds=4)

    assert list(findings.tuned) == [4, 32]
    assert all(findings.is_fresh(size) for size in (4, 32))
    assert {len(seeds) for choice, seeds in findings.fresh.items() if choice != findings.own} == {4}


def test_only_near_rivals_get_fresh_seeds(search):
    """Sizes far from the best get no fresh seeds; the user's own choice gets a few."""
    findings, _ = search()

    known = findings.known()
    for size in findings.tuned:
        is_near = known.times[size] <= search_command.RIVAL * known.least_seconds
        assert findings.is_fresh(size) <= is_near
    assert len(findings.fresh[findings.own]) == search_command.OWN_SEEDS


@pytest.mark.parametrize(
    ("fits", "time_limit", "words"),
    [
        ({2: 1}, 3.0, "no batch size was trained within 3 s"),
        ({}, 3.0, "cannot train at any batch size; at 1: no"),
        ({}, None, "cannot train at any batch size; at 1: no"),
    ],
)
def test_a_search_that_trained_nothing_says_whether_time_was_missing(fits, time_limit, words):
    """A size that cannot train is not blamed for a search that ran out of time."""
    fitting = Fitting(peak_bytes=fits, left_out={1: "no"})
    findings = SimpleNamespace(task=SimpleNamespace(name="mine"), fitting=fitting)

    assert words in str(search_command.nothing_trained(findings, time_limit))
