"""Two versions compared: checkouts whose cases only wait, so that a gate takes seconds."""

import os
import random
import re
import sys

import pytest

from bench import __main__ as bench_main
from bench import cases
from bench.gate import comparison, duet
from bench.gate.audit import planting
from bench.gate.duet import Version
from bench.gate.result import ExitCode
from bench.gate.verdict import Verdict
from tests import toy

STEP_1 = "step[engine=eager-batch_size=1]"
STEP_16 = "step[engine=eager-batch_size=16]"
STEP = "step[engine=eager]"


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """Compare two toy trees, the head as it was changed."""
    monkeypatch.setattr(duet, "CASE_SECONDS", 0.03)
    monkeypatch.setattr(comparison, "LOAD_SECONDS", 0.01)
    base = toy.write_tree(tmp_path / "base")
    head = toy.write_tree(tmp_path / "elsewhere" / "head")

    def compare(change=lambda _: None, **kwargs):
        change(head)
        return comparison.compare(
            Version(name="base", tree=base, python=sys.executable),
            Version(name="head", tree=head, python=sys.executable),
            **({"engines": ("eager",)} | kwargs),
        )

    return compare


def changed(name, value):
    """A change of one of the toy's constants."""
    return lambda tree: toy.change(tree, name, value)


def verdicts(result):
    """By name."""
    return {name: one.verdict for name, one in result.judgements.items()}


def reasons(result):
    """By name, where there is one."""
    return {name: one.reason for name, one in result.judgements.items() if one.reason}


def test_identical_code_in_two_folders_is_ok(compare):
    """Every case and the family."""
    result = compare()

    assert verdicts(result) == dict.fromkeys((STEP_1, STEP_16, STEP), Verdict.OK)
    assert result.exit_code is ExitCode.OK


@pytest.mark.parametrize(
    ("unit_seconds", "verdict", "code"),
    [(0.001, Verdict.REGRESSION, ExitCode.REGRESSION), (0.00025, Verdict.IMPROVEMENT, ExitCode.OK)],
    ids=["twice", "half"],
)
def test_a_head_that_takes_another_time_is_told(compare, unit_seconds, verdict, code):
    """Twice the base's time, and half."""
    result = compare(changed("UNIT_SECONDS", unit_seconds))

    assert verdicts(result) == dict.fromkeys((STEP_1, STEP_16, STEP), verdict)
    assert result.exit_code is code


def test_growth_of_memory_is_a_regression_whatever_the_speed(compare):
    """8 MiB became 64."""
    result = compare(changed("PEAK_BYTES", 1 << 26))

    assert verdicts(result)[STEP_1] is Verdict.REGRESSION
    assert re.fullmatch(r"peak memory grew from [78]\.\d to 6[34]\.\d MiB", reasons(result)[STEP_1])
    assert result.exit_code is ExitCode.REGRESSION


@pytest.mark.parametrize(
    ("losses", "allowed", "code"),
    [
        ([2.3, 2.25, 2.1], False, ExitCode.INCOMPARABLE),
        ([2.3, 2.25, 2.1], True, ExitCode.OK),
        ([2.3, 2.2, 2.1 * (1 + 1e-6)], False, ExitCode.OK),
    ],
    ids=["changed", "allowed", "rounding"],
)
def test_a_head_that_learns_something_else_needs_leave(compare, losses, allowed, code):
    """Rounding needs none."""
    result = compare(changed("LOSSES", losses), allow_learning_change=allowed)

    assert result.exit_code is code
    if code is ExitCode.INCOMPARABLE:
        assert reasons(result)[STEP_1].endswith("the loss of step 2 differs")


def test_a_case_that_raises_in_one_version_is_incomparable(compare):
    """And says what it raises; the other case gets its verdict."""
    raises = "if case.batch_size == 16: raise ValueError('no such thing')"

    result = compare(changed("MISBEHAVIOUR", raises))

    assert verdicts(result) == {STEP_1: Verdict.OK, STEP_16: Verdict.INCOMPARABLE}
    assert reasons(result) == {STEP_16: "raises in head: ValueError: no such thing"}
    assert result.exit_code is ExitCode.INCOMPARABLE


def test_what_a_case_prints_is_no_answer(compare):
    """Standard output belongs to the gate."""
    assert compare(changed("MISBEHAVIOUR", "print('{}')")).exit_code is ExitCode.OK


def test_a_worker_killed_in_mid_turn_is_named_with_its_last_words(compare):
    """Its case is incomparable; the other gets its verdict."""
    dies = "if case.batch_size == 16: os.write(2, b'so long'); os.kill(os.getpid(), 9)"

    result = compare(changed("MISBEHAVIOUR", dies))

    assert verdicts(result) == {STEP_1: Verdict.OK, STEP_16: Verdict.INCOMPARABLE}
    assert reasons(result) == {STEP_16: "the head worker died (SIGKILL); its last words: so long"}


def test_a_worker_that_says_nothing_is_not_waited_for_for_ever(compare, monkeypatch):
    """It is ended with the others."""
    monkeypatch.setattr(duet, "PATIENCE_SECONDS", 3)

    result = compare(changed("MISBEHAVIOUR", "if case.batch_size == 16: time.sleep(600)"))

    assert verdicts(result) == {STEP_1: Verdict.OK, STEP_16: Verdict.INCOMPARABLE}
    assert "the head worker did not answer for 3 s" in reasons(result)[STEP_16]


def test_a_case_that_one_side_lacks_is_incomparable(compare):
    """Whichever side."""
    result = compare(
        lambda tree: toy.edit(
            tree / "bench" / "cases.py",
            "^GATE_BATCH_SIZES = .*$",
            'GATE_BATCH_SIZES = {"step": (1, 32)}',
        )
    )

    assert verdicts(result)[STEP_1] is Verdict.OK
    assert reasons(result) == {
        "step[engine=eager-batch_size=32]": "missing in base",
        STEP_16: "missing in head",
    }


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="nothing is pinned here anyway")
def test_where_processes_cannot_be_pinned_the_gate_says_so_and_goes_on(compare, monkeypatch, capfd):
    """As on macOS."""
    monkeypatch.delattr(os, "sched_setaffinity")

    result = compare()

    assert "cannot pin processes to a core" in capfd.readouterr().err
    assert not result.setting["pinned"]
    assert set(verdicts(result)) == {STEP_1, STEP_16, STEP}


def remove_worker(tree):
    """As revisions before the gate are."""
    (tree / "bench" / "gate" / "worker.py").unlink()


def speak_another_protocol(tree):
    """As a revision with another gate may."""
    toy.edit(tree / "bench" / "gate" / "__init__.py", "^PROTOCOL = 1 ", "PROTOCOL = 99 ")


def lack_a_module(tree):
    """As an environment that misses something does."""
    (tree / "src" / "torch.py").write_text("import nothing_of_this_name\n")


def run_other_code(tree):
    """As an editable installation of another checkout may make it."""
    other = toy.write_tree(tree.parent / "other") / "src" / "mnist_mlp"
    (tree / "src" / "mnist_mlp" / "__init__.py").write_text(f"__path__[:] = [{str(other)!r}]\n")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (remove_worker, "head is older than the gate: it has no worker to run"),
        (speak_another_protocol, "head speaks the gate's protocol 99, this gate speaks 1"),
        (run_other_code, "head ran .*other.*, not .*head's code"),
        (lack_a_module, r"worker died \(exit code 1\); .*No module named 'nothing_of_this_name'"),
    ],
    ids=["older", "other_protocol", "other_code", "does_not_start"],
)
def test_a_version_that_cannot_be_measured_at_all_is_refused(compare, change, sentence):
    """A gate that compared the base with itself in secret would pass everything."""
    with pytest.raises(duet.WorkerError, match=sentence):
        compare(change)


def test_every_case_of_the_gate_can_be_measured():
    """By a worker that runs this very tree, with torch."""
    version = Version(name="head", tree=toy.ROOT, python=sys.executable)

    with (
        duet.company([version], threads=1) as (worker,),
        duet.fresh([worker], [], random.Random(0)),
    ):
        few = cases.gate_cases(("loader", "eager"))
        compiled = [case for case in cases.gate_cases(["compiled"]) if case.batch_size == 64]
        for case in (*few, *compiled):
            assert worker.turn(case, units=1) > 0
        for case in cases.gate_cases():
            assert worker.peak_bytes(case) >= 0
            assert len(worker.losses(case)) == 32


REFUSALS = {
    "--base=nowhere": (2, "'nowhere' names no commit here: name a branch, a tag or a commit"),
    "--margin=5": (2, "'5' is not a share such as 5% or 0.05"),
    "--margin=-5%": (2, "'-5%' is not a share"),
    "--engines=warp": (2, "'warp' is no engine: choose from loader, eager, compiled, native"),
    "--threads=100000": (2, "100000 threads on"),
    "--json=nowhere/gate.json": (2, "'nowhere/gate.json' is no file in a folder that exists"),
    "--against=a.json": (2, "--against names runs to compare with --saved"),
    "--saved=nowhere.json --against=a.json": (2, "nowhere.json cannot be read"),
    "--saved=a.json": (2, "saved runs are compared with saved runs"),
    "--head-python=/no/python": (4, "head: cannot run /no/python"),
    "": (2, "name what to compare with: --base main"),
}


@pytest.mark.parametrize("words", REFUSALS)
def test_what_makes_no_sense_is_refused_in_a_sentence(words, capfd):
    """Before anything is measured."""
    code, sentence = REFUSALS[words]

    try:
        ended = bench_main.main(["gate", *words.split()])
    except SystemExit as exit_:
        ended = exit_.code

    printed = capfd.readouterr()
    assert ended == code
    assert sentence in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("name", planting.SLIPS)
def test_every_slip_still_fits_the_code(name):
    """What an audit plants must be there to be caught."""
    with planting.planted(toy.ROOT, [planting.SLIPS[name]]) as tree:
        source = (tree / planting.SLIPS[name].file).read_text()

    assert planting.SLIPS[name].new in source
    assert not tree.exists()


@pytest.mark.parametrize("plant", [planting.slow_step(0.1, 64), planting.slow_epoch(0.1)])
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
