"""The ledger of a study: what is read again, what is refused, and who may write."""

import json

import pytest

from bench.best.ledger import Ledger
from bench.best.trial import Outcome, Trial
from mnist_mlp.errors import UserError

TRIAL = Trial(judged_on="test", batch_size=64, learning_rate=0.1, seed=0)
OUTCOME = Outcome(bounds={0.9: (90, 100), 0.95: (180, 200)}, steps=300)
HEADER = {"plan": {"targets": (0.9, 0.95)}, "data": "MNIST"}


@pytest.fixture
def file(tmp_path):
    """Where the ledger is."""
    return tmp_path / "a.jsonl"


@pytest.fixture
def opened(file):
    """Open the ledger of a study, and close all of them at the end."""
    ledgers = []

    def open_(**changed):
        for ledger in ledgers:
            ledger.close()
        ledgers.append(Ledger(file, header=HEADER | changed, decides=("plan", "data")))
        return ledgers[-1]

    yield open_
    for ledger in ledgers:
        ledger.close()


def test_a_ledger_has_one_writer(opened, file):
    """A second process would mend, and cut off, lines that the first one is writing."""
    opened()

    with pytest.raises(UserError, match="is being written by another process"):
        Ledger(file, header=HEADER, decides=())


@pytest.mark.parametrize("torn", ['{"setting": {"judged', "", "}"])
def test_a_training_is_read_as_it_was_and_a_torn_line_is_dropped(opened, file, torn):
    """The next run starts on its own line."""
    opened().add(TRIAL, OUTCOME)
    with file.open("a") as end:
        end.write(torn)

    ledger = opened()
    assert ledger.outcomes == {TRIAL: OUTCOME}
    ledger.add(TRIAL, OUTCOME)

    lines = file.read_text().splitlines()
    assert [json.loads(line)["trial"]["seed"] for line in lines[1:]] == [0, 0]


@pytest.mark.parametrize(
    ("asked", "is_there"),
    [
        ({}, True),
        ({"last_target": 0.97, "most_steps": 300}, True),  # it went as far, and did not reach it
        ({"last_target": 0.97, "most_steps": 301}, False),
    ],
)
def test_a_training_that_ended_too_soon_is_made_again(opened, asked, is_there):
    """A cap may have ended it."""
    ledger = opened()
    ledger.add(TRIAL, OUTCOME)

    assert ledger.has(TRIAL, **{"last_target": 0.95, "most_steps": 1000} | asked) == is_there


def test_another_study_is_not_gone_on_with(opened):
    """Its trainings would mean something else."""
    opened()

    with pytest.raises(UserError, match="holds a study with another data, MNIST"):
        opened(data="KMNIST")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"mine": 1}', "holds no whole line"),
        ("no JSON\n", "is not JSON"),
        ("[1]\n", "is not a JSON object"),
        ('{"plan": 1}\n', "holds a study with another plan, 1"),
        (json.dumps(HEADER) + '\n{"trial": 1}\n', "is no ledger of a study"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(opened, file, content, sentence):
    """It may be somebody else's."""
    file.write_text(content)

    with pytest.raises(UserError, match=sentence):
        opened()
    assert file.read_text() == content
