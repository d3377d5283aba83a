"""What an audit makes of its record, and what it plants."""

import json
import math

import pytest

from bench import __main__ as bench_main
from bench.gate import UsageError
from bench.gate.audit import rates, record, scenarios
from bench.gate.result import Result
from bench.gate.verdict import Evidence, Judgement, Verdict
from tests import toy

STEP = "bench/test_step.py::test_step[engine=eager-batch_size=64]"
OTHER = "bench/test_epoch.py::test_epoch[engine=native-batch_size=64]"


def new_gate(slowdown=0.0, **verdicts):
    """A line of a record on two cases, `step` and `other`."""
    result = Result(
        base="base",
        head="head",
        margin=0.05,
        took_seconds=40.0,
        setting={},
        evidence=Evidence(screen={}, confirm={}),
        judgements={
            name: Judgement(name=name, verdict=verdicts.get(key, Verdict.OK))
            for key, name in (("step", STEP), ("other", OTHER))
        },
    )
    slowed = [STEP] if slowdown else []
    return record.line_of(result, toy.ROOT, slowdown=slowdown, slowed=slowed)


def test_any_exit_but_0_on_identical_code_is_a_false_alarm():
    """Whatever the case, and whatever the verdict."""
    gates = [new_gate(), new_gate(other=Verdict.INCONCLUSIVE), new_gate(step=Verdict.REGRESSION)]

    assert rates.flagged(gates) == rates.Rate(times=2, of=3)


def test_a_planted_slowdown_must_be_found_where_it_was_planted():
    """A regression elsewhere is no detection."""
    found, missed = new_gate(0.1, step=Verdict.REGRESSION), new_gate(0.1, other=Verdict.REGRESSION)

    assert rates.flagged([found, missed], STEP) == rates.Rate(times=1, of=2)


def test_bounds_are_one_sided_and_exact():
    """None of 59 is the textbook's 5 %, and 59 of 59 its 95 %."""
    assert rates.Rate(times=0, of=59).at_most == pytest.approx(1 - 0.05 ** (1 / 59))
    assert rates.Rate(times=59, of=59).at_least == pytest.approx(0.05 ** (1 / 59))


def test_a_record_that_was_written_can_be_read_again(tmp_path, capsys):
    """The table has each rate with its bound, and the verdicts that nobody planted."""
    file = tmp_path / "record.jsonl"
    planted = new_gate(0.1, step=Verdict.REGRESSION, other=Verdict.INCONCLUSIVE)
    lines = [*[new_gate()] * 20, planted]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    code = bench_main.main(["audit", f"--read={file}"])

    identical, slowed = [row for row in capsys.readouterr().out.splitlines() if " of " in row]
    assert code == 0
    assert "identical code" in identical
    assert "0 of 20" in identical
    assert f"at most {1 - math.exp(math.log(0.05) / 20):.1%}" in identical
    assert "10% planted, test_step[engine=eager-batch_size=64]" in slowed
    assert "1 of 1" in slowed
    assert "inconclusive 1" in slowed


def test_the_record_of_this_repository_holds_what_its_page_says(capsys):
    """The page prints the table of the record."""
    code = bench_main.main(["audit", f"--read={toy.ROOT / 'docs' / 'gate-audit.jsonl'}"])

    assert code == 0
    assert capsys.readouterr().out in (toy.ROOT / "docs" / "gate.md").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--read=README.md"], "README.md is no record of an audit"),
        (["--read=nowhere"], "nowhere is no record of an audit"),
        (["--scenarios=weather"], "'weather' is no scenario: choose from identical, planted"),
        (["--trials=0"], "'0' is not a whole number of at least 1"),
        (["--slowdowns=10"], "'10' is not a share such as 5% or 0.05"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(words, sentence, capsys):
    """Before anything is measured."""
    try:
        code = bench_main.main(["audit", *words])
    except SystemExit as exit_:
        code = exit_.code

    assert code == 2
    assert sentence in capsys.readouterr().err


def test_every_slowdown_still_fits_the_code():
    """The slowed code is valid Python, and the copy is removed."""
    with scenarios.planted(toy.ROOT, scenarios.edits(0.1)) as tree:
        source = (tree / scenarios.TRAINING).read_text()

    compile(source, scenarios.TRAINING, "exec")
    assert source.count("is_slowed =") == 2
    assert not tree.exists()


def test_an_edit_that_fits_no_more_is_an_error():
    """Or an audit would test identical code and report it as a detection rate."""
    with (
        pytest.raises(UsageError, match="adapt what is planted"),
        scenarios.planted(toy.ROOT, {"no such line": ""}),
    ):
        pass
