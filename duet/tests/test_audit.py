"""An audit's record and rates, and the cases that it slows."""

from pathlib import Path

import pytest

import toy
from pytest_duet import audit
from pytest_duet.result import Result
from pytest_duet.verdict import Evidence, Judgement, Verdict

STEP = "test_step.py::test_step[64]"


def new_line(checkout, verdict, slowdown=0.0):
    """Return a record's line of a gate on one case."""
    finished = Result(
        base="base",
        head="head",
        margin=0.05,
        took_seconds=40.0,
        setting={},
        evidence=Evidence(screen={}, confirm={}),
        judgements={STEP: Judgement(name=STEP, verdict=verdict)},
    )
    return audit.line_of(finished, checkout, {STEP: slowdown} if slowdown else {})


@pytest.fixture
def checkout(tmp_path):
    """Return a toy checkout with one commit."""
    return toy.write_checkout(tmp_path / "checkout")


def test_a_gate_fails_with_any_exit_but_0_and_catches_a_case_only_by_a_regression(checkout):
    """An inconclusive gate fails, but catches nothing."""
    verdicts = [Verdict.OK, Verdict.INCONCLUSIVE, Verdict.REGRESSION]
    identical = [new_line(checkout, verdict) for verdict in verdicts]
    slowed = [new_line(checkout, verdict, 0.1) for verdict in verdicts]

    assert audit.failed(identical) == 2
    assert sum(map(audit.caught, slowed)) == 1


def test_intervals_of_rates_are_exact():
    """The interval of 0 of 20 ends at the rate that gives 0 of 20 with a probability of 2.5 %."""
    assert audit.interval(0, 20) == f"0% to {1 - 0.025 ** (1 / 20):.0%}" == "0% to 17%"
    assert audit.interval(20, 20) == "83% to 100%"


def test_an_audit_slows_the_cases_it_names_and_appends_its_gates(checkout, monkeypatch, capsys):
    """Identical code passes, and slowed cases are regressions."""
    monkeypatch.chdir(checkout)
    record = checkout / "gate.jsonl"

    code = audit.main(["--trials=1", "--slowdowns=0,100%", f"--record={record}"])

    identical, slowed = audit.read(record)
    assert code == 0, capsys.readouterr()
    assert identical["exit_code"] == 0
    assert not identical["slowed"]
    assert slowed["exit_code"] == 1
    assert audit.caught(slowed) == len(slowed["slowed"]) == 2
    assert "2 of 2" in capsys.readouterr().out


def test_the_table_in_the_documentation_is_that_of_the_record(capsys):
    """The table in docs/method.md is what --read prints for docs/audit.jsonl."""
    docs = Path(__file__).parents[1] / "docs"

    code = audit.main([f"--read={docs / 'audit.jsonl'}"])

    assert code == 0
    assert capsys.readouterr().out.strip() in (docs / "method.md").read_text()


REFUSALS = {
    "--read=README": "README is no record of an audit",
    "--read=nowhere": "nowhere cannot be read: No such file",
    "--slowdowns=10": "'10' is not a share such as 5% or 0.05",
    "--slowdowns=0,0": "'0,0' names a slowdown twice",
}


@pytest.mark.parametrize("words", REFUSALS)
def test_an_invalid_option_is_refused_in_one_sentence(words, tmp_path, capsys, monkeypatch):
    """An audit refuses an invalid option before it measures anything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README").write_text("not JSON")

    with pytest.raises(SystemExit) as ended:
        raise SystemExit(audit.main([words]))

    assert ended.value.code == 2
    assert REFUSALS[words] in capsys.readouterr().err
