"""What an audit makes of its record, and what it plants."""

import json
import math
import random

import pytest

from bench import __main__ as bench_main
from bench.gate.audit import planting, rates
from bench.gate.audit.record import IDENTICAL
from tests import toy

STEP = "bench/test_step.py::test_step[engine=eager-batch_size=64]"
OTHER = "bench/test_epoch.py::test_epoch[engine=native-batch_size=64]"


def new_gate(scenario=IDENTICAL, *, guilty=(), slowdown=0.0, verdict="ok", seed=0, shared=0.0):
    """A line of a record: two cases, the other one ok; pairs spread by 1 %."""
    rng = random.Random(seed)
    offset = rng.gauss(0, shared)
    ratio = (1 + slowdown) * (1 + rng.gauss(0, 0.01))
    return {
        "scenario": scenario,
        "guilty": guilty,
        "slowdown": slowdown,
        "took_seconds": 40.0,
        "exit_code": int(verdict == "regression"),
        "verdicts": {STEP: verdict, OTHER: "ok"},
        "reasons": {},
        "estimates": {
            STEP: [ratio, ratio - 0.02, ratio + 0.02, 0.08],
            OTHER: [1.0, 0.99, 1.01, 0.08],
        },
        "screen": {
            STEP: [[offset + rng.gauss(0, 0.01), rng.gauss(0, 0.01)] for _ in range(3)],
            OTHER: [[rng.gauss(0, 0.01), rng.gauss(0, 0.01)] for _ in range(3)],
        },
    }


def test_any_exit_but_0_on_identical_code_is_a_false_alarm():
    """Whatever the case, and whatever the verdict."""
    rate = rates.called([new_gate(), new_gate(verdict="regression")])

    assert (rate.times, rate.of) == (1, 2)


def test_a_planted_slowdown_must_be_found_where_it_was_planted():
    """A regression elsewhere is no detection."""
    found = new_gate("10%", guilty=[STEP], slowdown=0.1, verdict="regression")
    missed = new_gate("10%", guilty=[OTHER], slowdown=0.1, verdict="regression")

    assert rates.called([found], STEP).times == 1
    assert rates.called([missed], OTHER).times == 0


def test_bounds_are_one_sided_and_exact():
    """None of 59 is the textbook's 5 %, and 59 of 59 its 95 %."""
    assert rates.Rate(times=0, of=59).at_most == pytest.approx(1 - 0.05 ** (1 / 59))
    assert rates.Rate(times=59, of=59).at_least == pytest.approx(0.05 ** (1 / 59))


def test_intervals_are_held_to_the_ratio_that_was_planted():
    """On identical code it is one; what the plant also slows has no truth."""
    planted = [new_gate("10%", guilty=[STEP], slowdown=0.1, seed=seed) for seed in range(400)]
    record = [*planted, new_gate(), new_gate(seed=1)]

    held = rates.cases(record)[STEP].held

    assert held.of == 402
    assert held.times / held.of == pytest.approx(0.95, abs=0.03)


def test_pytest_benchmarks_rules_are_judged_each_by_itself():
    """Any case beyond 10 % on identical code; the guilty one where a slowdown was planted."""
    short = STEP.rpartition("::")[2]  # as saved runs name it
    ratios = [{short: {"min": 1.2, "mean": 1.0}}, {short: {"min": 1.0, "mean": 1.05}}]
    gates = [{"guilty": [], "ratios": each} for each in ratios]

    assert rates.called(gates, field="min").times == 1
    assert rates.called(gates, field="mean").times == 0
    assert rates.called(gates, STEP, "min").times == 1


def test_what_the_pairs_of_a_gate_share_is_told_from_what_they_do_not():
    """Gates whose pairs spread by 1 % about an offset of their own, of 3 %."""
    record = [new_gate(seed=seed, shared=0.03) for seed in range(400)]

    found = rates.cases(record)

    assert found[STEP].within_gates == pytest.approx(0.01, rel=0.1)
    assert found[STEP].between_gates == pytest.approx(0.03, rel=0.15)
    assert found[OTHER].between_gates < 0.003


def test_a_record_can_be_read_again_and_drawn(tmp_path, capsys):
    """Rates with their bounds, what became of each slip, and the power curve."""
    file, figure = tmp_path / "record.jsonl", tmp_path / "power.png"
    slip = new_gate("slip: item")
    slip["estimates"][STEP] = [1.03, 1.01, 1.05, 0.08]
    planted = new_gate("10%", guilty=[STEP], slowdown=0.1, verdict="regression")
    lines = [*[new_gate(seed=seed) for seed in range(20)], planted, slip]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    code = bench_main.main(["audit", f"--read={file}", f"--figure={figure}"])

    printed = capsys.readouterr().out
    assert code == 0
    assert "0 of 20" in printed
    assert f"at most {1 - math.exp(math.log(0.05) / 20):.1%}" in printed
    assert "slip: item: not called; at most x 1.030" in printed
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--read=README.md"], "README.md is no record of an audit"),
        (["--read=nowhere"], "nowhere is no record of an audit"),
        (["--scenarios=weather"], "'weather' is no scenario: choose from identical, neighbour"),
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


@pytest.mark.parametrize("name", planting.SLIPS)
def test_every_slip_still_fits_the_code(name):
    """What an audit plants must be there to be caught."""
    with planting.planted(toy.ROOT, [planting.SLIPS[name]]) as tree:
        source = (tree / planting.SLIPS[name].file).read_text()

    assert planting.SLIPS[name].new in source
    assert not tree.exists()


@pytest.mark.parametrize(
    "plant", [planting.slow_steps(0.1, [("eager", 64)]), planting.slow_epochs(0.1, "eager")]
)
def test_every_slowdown_still_fits_the_code(plant):
    """The slowed function is valid Python."""
    with planting.planted(toy.ROOT, [plant]) as tree:
        compile((tree / plant.file).read_text(), plant.file, "exec")


def test_a_plant_that_fits_no_more_is_an_error():
    """Or an audit would test identical code and call it a detection rate."""
    plant = planting.Plant(file="src/mnist_mlp/model.py", old="no such line", new="")

    with (
        pytest.raises(planting.PlantError, match="adapt what is planted"),
        planting.planted(toy.ROOT, [plant]),
    ):
        pass
