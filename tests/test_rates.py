"""What an audit makes of its record."""

import json
import random
from pathlib import Path

import pytest

from bench import __main__ as bench_main
from bench import cases
from bench.gate.audit import rates
from bench.gate.audit.record import IDENTICAL, read

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "docs" / "gate-audit.jsonl"
STEP = "step[engine=eager-batch_size=64]"


def new_gate(scenario, *, planted=False, guilty="", regression="", pairs=3, seed=0, spread=0.01):
    """A line of a record: every case ok but one."""
    rng = random.Random(seed)
    names = [case.name for case in cases.gate_cases()]
    return {
        "scenario": scenario,
        "planted": planted,
        "guilty": guilty,
        "took_seconds": 40.0,
        "verdicts": {name: "regression" if name == regression else "ok" for name in names},
        "reasons": {},
        "ratios": dict.fromkeys(names, 1.01),
        "detectable": dict.fromkeys(names, 0.08),
        "screen": {
            name: [[rng.gauss(0, spread), rng.gauss(0, spread)] for _ in range(pairs)]
            for name in names
        },
    }


def found(record):
    """Times and gates of each rate."""
    return {rate.what: (rate.times, rate.gates) for rate in rates.measured(record)}


def test_any_regression_on_identical_code_is_a_false_alarm():
    """In any case."""
    record = [new_gate("identical code"), new_gate("identical code", regression=STEP)]

    assert found(record) == {"identical code": (1, 2)}


def test_a_planted_slowdown_must_be_found_where_it_was_planted():
    """A regression elsewhere is no detection."""
    planted = {"planted": True, "guilty": STEP}
    elsewhere = "step[engine=eager-batch_size=1]"
    record = [
        new_gate("10% in a step", regression=STEP, **planted),
        new_gate("10% in a step", regression=elsewhere, **planted),
    ]

    assert found(record) == {"10% in a step": (1, 2)}


def test_pytest_benchmarks_rules_are_judged_each_by_itself():
    """Any case beyond 10 % on identical code; the guilty one where a slowdown was planted."""
    one = {"scenario": "pytest-benchmark, same", "planted": False, "guilty": "", "took_seconds": 9}
    ratios = [{STEP: {"min": 1.2, "mean": 1.0}}, {STEP: {"min": 1.0, "mean": 1.05}}]

    counted = found([one | {"ratios": each} for each in ratios])

    assert counted == {
        "pytest-benchmark, same, min:10%": (1, 2),
        "pytest-benchmark, same, mean:10%": (0, 2),
    }


def test_resampling_needs_a_hundred_pairs_a_case():
    """Fewer would say less than they seem to."""
    assert rates.resampled([new_gate("identical code", pairs=99)], gates=10) == []


def test_quiet_pairs_give_no_false_alarm_and_every_detection():
    """Pairs that spread by 1 %, and a slowdown of 10 %."""
    record = [new_gate("identical code", pairs=100)]

    alarm, *detections = rates.resampled(record, gates=50)

    assert (alarm.times, alarm.gates) == (0, 50)
    gated = cases.gate_cases()
    assert len(detections) == len(gated) + len({case.family for case in gated})
    assert all(one.times == one.gates == 5 for one in detections)


def test_pairs_too_noisy_to_tell_give_no_detection():
    """A resampled rate can be bad news, too."""
    record = [new_gate("identical code", pairs=100, spread=0.3)]

    _, *detections = rates.resampled(record, gates=50)

    assert all(one.times < one.gates for one in detections)


def test_a_record_can_be_read_again(tmp_path, capsys):
    """Rates with their exact bounds, and what became of each slip."""
    file = tmp_path / "record.jsonl"
    slip = new_gate("slip: item", planted=True)
    slip["ratios"][STEP] = 1.03
    lines = [*[new_gate("identical code")] * 20, slip]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    code = bench_main.main(["audit", f"--read={file}"])

    printed = capsys.readouterr().out
    assert code == 0
    assert "0 of 20" in printed
    assert "0.0% to 16.8%" in printed
    assert (
        f"slip: item: not called; at most x 1.030, in {STEP}, where 8% would have been caught"
        in printed
    )


def test_what_the_pairs_of_a_gate_share_is_told_from_what_they_do_not():
    """Gates whose pairs spread by 1 % about an offset of their own, of 3 %."""
    rng = random.Random(0)
    record = [new_gate("identical code", pairs=3, seed=seed) for seed in range(200)]
    for gate in record:
        for pairs in gate["screen"].values():
            offsets = rng.gauss(0, 0.03), rng.gauss(0, 0.03)
            pairs[:] = [
                [one + offset for one, offset in zip(p, offsets, strict=True)] for p in pairs
            ]

    for spread in rates.spreads(record):
        assert spread.pairs == 600
        assert spread.within_gates == pytest.approx(0.01, rel=0.1)
        assert spread.between_gates == pytest.approx(0.03, rel=0.15)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--read=README.md"], "README.md is no record of an audit"),
        (["--read=nowhere"], "nowhere is no record of an audit"),
        (["--scenarios=weather"], "'weather' is no scenario: choose from identical, neighbour"),
        (["--trials=0"], "'0' is not a whole number from 1"),
        (["--slowdown=10"], "'10' is not a share such as 5% or 0.05"),
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


def test_the_record_in_the_repository_can_be_read():
    """So that its rates can be computed again."""
    record = read(RECORD)

    assert sum(line["scenario"] == IDENTICAL for line in record) >= 40
