"""The ledger of a search: what is read again, what is refused, and who may write."""

import json
from dataclasses import replace

import pytest
import torch

from bench.best.ledger import Ledger, header_of
from bench.best.trial import TEST, Outcome, Trial
from mnist_mlp.errors import UserError
from tests.strategies import new_data

TRIAL = Trial(judged_on=TEST, batch_size=64, learning_rate=0.1, seed=0)
OUTCOME = Outcome(steps=200, below=180, score=0.95, reached=True)
HEADER = {"task": "digits", "target": 0.95}


@pytest.fixture
def file(tmp_path):
    """The ledger's file."""
    return tmp_path / "a.jsonl"


@pytest.fixture
def opened(file):
    """Open the ledger of a search, and close all of them at the end."""
    ledgers = []

    def open_(**changed):
        for ledger in ledgers:
            ledger.close()
        ledgers.append(Ledger(file, HEADER | changed))
        return ledgers[-1]

    yield open_
    for ledger in ledgers:
        ledger.close()


def test_a_ledger_has_one_writer(opened, file):
    """A second process would cut off a line that the first one is still writing."""
    opened()

    with pytest.raises(UserError, match="is being written by another process"):
        Ledger(file, HEADER)


@pytest.mark.parametrize("torn", [b'{"trial": {"judged', b"", b"\xff", b"}"])
def test_a_training_is_read_as_it_was_and_a_torn_line_is_dropped(opened, file, torn):
    """A torn line is dropped, and the next training is written on a line of its own."""
    opened().add(TRIAL, OUTCOME)
    with file.open("ab") as end:
        end.write(torn)

    opened().add(replace(TRIAL, seed=1), OUTCOME)

    assert opened().outcomes == {TRIAL: OUTCOME, replace(TRIAL, seed=1): OUTCOME}


@pytest.mark.parametrize("field", ["task", "target"])
def test_trainings_of_something_else_are_refused_by_what_differs(opened, field):
    """The error for a ledger of another task names what differs; the file stays as it was."""
    opened().add(TRIAL, OUTCOME)

    with pytest.raises(UserError, match=f"holds trainings with another {field}, .*, not other: "):
        opened(**{field: "other"})

    assert opened().outcomes == {TRIAL: OUTCOME}


@pytest.mark.parametrize("text", ['{"a": 1}\n', "[1]\n", "no line", json.dumps(HEADER) + "\n{}\n"])
def test_a_file_that_is_no_ledger_is_refused_and_kept(opened, file, text):
    """A file that is no ledger may be something that the user needs, and stays as it is."""
    file.write_text(text)

    with pytest.raises(UserError, match=r"a\.jsonl"):
        opened()

    assert file.read_text() == text


def test_what_decides_how_many_steps_a_task_takes_is_in_the_header():
    """Another network, loss, optimizer, data, target or budget is another task; a copy is not."""
    task = new_data(40, 20)
    header = header_of(task, max_epochs=10)
    other = new_data(41, 20)
    changes = {
        "network": {"network": lambda: torch.nn.Sequential(torch.nn.Linear(784, 10))},
        "loss": {"loss": lambda outputs, targets: 2 * task.loss(outputs, targets)},
        "optimizer": {"optimizer": lambda parameters, rate: torch.optim.Adam(parameters, lr=rate)},
        "data": {"train": other.train},
        "target": {"target": 0.5},
        "task": {"name": "other"},
    }

    assert header_of(replace(task), max_epochs=10) == header
    assert header_of(task, max_epochs=9) != header
    for field, change in changes.items():
        changed = header_of(replace(task, **change), max_epochs=10)
        assert changed[field] != header[field], field
