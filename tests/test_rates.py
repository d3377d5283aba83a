"""What an audit makes of its record, and what it plants."""

import pytest

from bench import __main__ as bench_main
from bench.gate import UsageError
from bench.gate.audit import gates, record
from bench.gate.result import Result
from bench.gate.verdict import Evidence, Judgement, Verdict
from tests import toy

STEP = "bench/test_step.py::test_step[engine=eager-batch_size=64]"


def new_gate(verdict, slowdown=0.0):
    """A line of a record of gates on one case."""
    result = Result(
        base="base",
        head="head",
        margin=0.05,
        took_seconds=40.0,
        setting={},
        evidence=Evidence(screen={}, confirm={}),
        judgements={STEP: Judgement(name=STEP, verdict=verdict)},
    )
    return record.line_of(result, toy.ROOT, slowdown=slowdown, slowed=[STEP] * bool(slowdown))


def test_a_false_alarm_is_any_exit_but_0_and_a_detection_a_regression_in_the_slowed_case():
    """An inconclusive gate is no detection."""
    verdicts = [Verdict.OK, Verdict.INCONCLUSIVE, Verdict.REGRESSION]

    assert record.flagged([new_gate(verdict) for verdict in verdicts]) == 2
    assert record.flagged([new_gate(verdict, 0.1) for verdict in verdicts], STEP) == 1


def test_bounds_are_one_sided_and_exact():
    """None of 59 is the textbook's 5 %, and 59 of 59 its 95 %."""
    assert record.at_most(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert record.at_least(59, 59) == pytest.approx(0.05 ** (1 / 59))


def test_the_record_of_this_repository_holds_what_its_page_says(capsys):
    """The page prints the table of the record."""
    code = bench_main.main(["audit", f"--read={toy.ROOT / 'docs' / 'gate-audit.jsonl'}"])

    assert code == 0
    assert capsys.readouterr().out in (toy.ROOT / "docs" / "gate.md").read_text()


def test_what_is_planted_fits_the_code_and_is_removed(monkeypatch):
    """Or an audit would test identical code and report it as a detection rate."""
    with gates.planted(toy.ROOT, 0.1) as tree:
        source = (tree / gates.TRAINING).read_text()

    compile(source, gates.TRAINING, "exec")
    assert source.count("is_slowed =") == 2
    assert not tree.exists()

    monkeypatch.setattr(gates, "STEP_CALL", "no such line")
    with pytest.raises(UsageError, match="adapt what is planted"), gates.planted(toy.ROOT, 0.1):
        pass
