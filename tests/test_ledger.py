import json

import pytest

from bench.best.ledger import Ledger, LedgerError
from bench.best.trial import Outcome, Setting, Task

SETTING = Setting(judged_on="test", batch_size=64, learning_rate=0.1, seed=0)
OUTCOME = Outcome(bounds={0.9: (90, 100), 0.95: (180, 200)}, steps=300)
HEADER = {"plan": {"targets": (0.9, 0.95)}, "data": "MNIST"}


def opened(file, **changed):
    """A ledger of a study."""
    return Ledger(file, header=HEADER | changed, decides=("plan", "data"))


def task(*, last_target=0.95, most_steps=1000):
    """A run that may be needed."""
    return Task(setting=SETTING, targets=(0.9, last_target), most_steps=most_steps)


def test_a_run_is_there_after_the_process_ended(tmp_path):
    """With what it was."""
    opened(tmp_path / "a.jsonl").add(SETTING, OUTCOME)

    again = opened(tmp_path / "a.jsonl")

    assert again.runs == {SETTING: OUTCOME}
    assert again.has(task())


@pytest.mark.parametrize("torn", ['{"setting": {"judged', "", "}"])
def test_a_torn_line_is_dropped(tmp_path, torn):
    """The next run starts on its own line."""
    file = tmp_path / "a.jsonl"
    opened(file).add(SETTING, OUTCOME)
    with file.open("a") as end:
        end.write(torn)

    opened(file).add(SETTING, OUTCOME)

    lines = file.read_text().splitlines()
    assert [json.loads(line)["setting"]["seed"] for line in lines[1:]] == [0, 0]


def test_a_file_without_a_whole_line_is_refused_and_left_alone(tmp_path):
    """It may be somebody else's."""
    file = tmp_path / "a.json"
    file.write_text('{"mine": 1}')

    with pytest.raises(LedgerError, match="holds no whole line"):
        opened(file)

    assert file.read_text() == '{"mine": 1}'


@pytest.mark.parametrize(
    ("asked", "is_there"),
    [
        ({}, True),
        ({"last_target": 0.97, "most_steps": 300}, True),  # it went as far, and did not reach it
        ({"last_target": 0.97, "most_steps": 301}, False),
    ],
)
def test_a_run_that_ended_too_soon_is_made_again(tmp_path, asked, is_there):
    """A cap may have ended it."""
    ledger = opened(tmp_path / "a.jsonl")
    ledger.add(SETTING, OUTCOME)

    assert ledger.has(task(**asked)) == is_there


def test_another_study_is_not_gone_on_with(tmp_path):
    """Its runs would mean something else."""
    opened(tmp_path / "a.jsonl")

    with pytest.raises(LedgerError, match="holds a study with another data, MNIST"):
        opened(tmp_path / "a.jsonl", data="KMNIST")


@pytest.mark.parametrize("content", ["no JSON\n", "[1]\n", '{"plan": 1}\n'])
def test_a_file_that_is_no_ledger_is_refused(tmp_path, content):
    """And left as it is."""
    file = tmp_path / "a.jsonl"
    file.write_text(content)

    with pytest.raises(LedgerError):
        opened(file)
    assert file.read_text() == content
