"""Two versions compared: repositories whose benchmarks only wait, so that a gate takes seconds."""

import os
import re
import sys
from dataclasses import replace

import pytest

from bench import __main__ as bench_main
from bench.gate import IncomparableError, company, comparison, turns
from bench.gate.company import Version
from bench.gate.result import ExitCode
from bench.gate.verdict import Verdict
from tests import toy

WAIT = "test_toy.py::test_wait"
WAIT_1, WAIT_16 = f"{WAIT}[size=1]", f"{WAIT}[size=16]"


@pytest.fixture(scope="module", autouse=True)
def short_turns():
    """Let a gate be quick rather than exact."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "CASE_SECONDS", 0.02)
        patch.setattr(turns, "FEWEST_TURNS", 5)
        patch.setattr(comparison, "LOAD_SECONDS", 0.01)
        yield patch


def run(base, head, *, base_python=sys.executable, arguments=("test_toy.py",), **kwargs):
    """Compare two trees."""
    return comparison.compare(
        Version(name="base", tree=base, python=base_python),
        Version(name="head", tree=head, python=sys.executable),
        arguments=["-p", "no:cacheprovider", *arguments],
        **kwargs,
    )


@pytest.fixture
def compare(tmp_path):
    """Compare two toys, the head as it was changed."""
    base = toy.write_tree(tmp_path / "base")
    head = toy.write_tree(tmp_path / "elsewhere" / "head")

    def compare(change=lambda _: None, **kwargs):
        change(head)
        return run(base, head, **kwargs)

    return compare


def verdicts(result):
    """The verdict of each case and family."""
    return {name: one.verdict for name, one in result.judgements.items()}


# What differs between base and head, a case each: the verdict, and the reason if there is one.
CHANGES = {
    "nothing": (Verdict.OK, ""),
    "time_doubled": (Verdict.REGRESSION, ""),
    "time_halved": (Verdict.IMPROVEMENT, ""),
    "head_too_long": (Verdict.REGRESSION, ""),
    "memory_grown": (Verdict.REGRESSION, "peak memory grew from 8.0 to 64.0 MiB"),
    "losses_changed": (
        Verdict.INCOMPARABLE,
        "no longer learns the same: the loss of step 2 differs",
    ),
    "losses_rounded": (Verdict.OK, ""),
    "losses_lost": (Verdict.INCOMPARABLE, "head no longer stores losses"),
    "memory_lost": (Verdict.INCOMPARABLE, "head no longer stores peak_memory_bytes"),
    "figures_gained": (Verdict.OK, ""),
    "skipped_in_head": (Verdict.INCOMPARABLE, "in head it is skipped: late"),
    "too_long": (
        Verdict.LEFT_OUT,
        "is too long to take turns: --seconds-per-case=3.5 or more",
    ),
    "too_long_later": (
        Verdict.INCONCLUSIVE,
        "after 1 pair it is too long to take turns: --seconds-per-case=3.5 or more",
    ),
    "skipped_later": (Verdict.INCONCLUSIVE, "after 1 pair it is skipped: tired"),
    "only_in_base": (Verdict.INCOMPARABLE, "missing in head"),
    "only_in_head": (Verdict.INCOMPARABLE, "missing in base"),
}
CHANGED = """
from pathlib import Path

import pytest

from waiting import wait

IS_HEAD = Path(__file__).parent.name == "head"
ONCE = 5  # processes run a case: two of the rehearsal, and three of the first pair


def runs(name):
    with (Path(__file__).parents[1] / name).open("a+") as file:
        file.write(".")
        file.flush()
        return file.tell()


def case(name, base, head):
    unit, peak, losses = head if IS_HEAD else base

    def test(benchmark):
        if unit is None or (name == "skipped_later" and runs(name) > ONCE):
            pytest.skip("late" if unit is None else "tired")
        seconds = 0.7 if name == "too_long_later" and runs(name) > ONCE else unit
        benchmark(wait, seconds)
        if peak:
            benchmark.extra_info["peak_memory_bytes"] = peak << 20
        if losses:
            benchmark.extra_info["losses"] = losses

    globals()[f"test_{name}"] = test


SAME = 0.0005, 8, [2.3, 2.2]
case("nothing", SAME, SAME)
case("time_doubled", SAME, (0.001, 8, [2.3, 2.2]))
case("time_halved", SAME, (0.00025, 8, [2.3, 2.2]))
case("head_too_long", (0.05, 8, []), (0.3, 8, []))
case("memory_grown", SAME, (0.0005, 64, [2.3, 2.2]))
case("losses_changed", SAME, (0.0005, 8, [2.3, 2.25]))
case("losses_rounded", SAME, (0.0005, 8, [2.3, 2.2 * (1 + 1e-6)]))
case("losses_lost", SAME, (0.0005, 8, []))
case("memory_lost", SAME, (0.0005, 0, [2.3, 2.2]))
case("figures_gained", (0.0005, 0, []), SAME)
case("skipped_in_head", SAME, (None, 0, []))
case("too_long", (0.7, 0, []), (0.7, 0, []))
case("too_long_later", SAME, SAME)
case("skipped_later", SAME, SAME)
case("only_in_head" if IS_HEAD else "only_in_base", SAME, SAME)
"""


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A gate on cases of which each differs in something else."""
    folder = tmp_path_factory.mktemp("changed")
    trees = [toy.write_tree(folder / name) for name in ("base", "head")]
    for tree in trees:
        (tree / "test_changed.py").write_text(CHANGED)
    return run(*trees, arguments=("test_changed.py",), seconds_per_case=1)


@pytest.mark.parametrize("case", CHANGES)
def test_every_change_gets_its_verdict(changed, case):
    """Whatever the other cases do."""
    judgement = changed.judgements[f"test_changed.py::test_{case}"]

    assert (judgement.verdict, judgement.reason) == CHANGES[case]


def test_a_case_that_is_cut_short_keeps_its_evidence_and_does_not_pass(changed):
    """Its first pair was taken, and says what it says; without that it is left out."""
    name = "test_changed.py::test_too_long_later"
    ok = "test_changed.py::test_nothing"
    alone = replace(changed, judgements={key: changed.judgements[key] for key in (name, ok)})

    assert changed.judgements[name].estimate.ratio == pytest.approx(1, abs=0.01)
    assert len(changed.evidence.screen[name]) == 1
    assert len(changed.evidence.seconds[name][0]) == 1
    assert "test_changed.py::test_too_long" not in changed.evidence.seconds
    assert alone.exit_code is ExitCode.INCONCLUSIVE


# Each case, and the sentence that answers it; "" for a case that is measured.
STRANGE_CASES = {
    "raises": "in base it raises: ValueError: no such thing",
    "fails_after": "in base it raises: assert 1 == 2",
    "hangs": "base did not answer for 6 s: it is stuck, or it does not survive being forked; "
    "--fresh=exec starts each process from the beginning",
    "kills_its_process": "base died (SIGKILL); its last words: collected 22 items; ; "
    "test_strange.py so long",
    "closes_its_files": "base died (SIGKILL); its last words: ",
    "prints_a_megabyte": "",
    "changes_directory_and_leaves_a_thread": "",
    "finds_its_directory_and_no_thread": "",
    "forks": "",
    "calls_benchmark_twice": "in base it raises: RuntimeError: benchmark is called twice in one "
    "case: make it two cases",
    "never_calls_benchmark": "in base it never calls benchmark",
    "shares_a_fixture": "",
    "shares_it_again": "",
    "is_skipped": "is skipped: no such device",
    "is_expected_to_fail": "is expected to fail (xfail)",
    "weaves": "in base it raises: NotImplementedError: the gate does not measure benchmark.weave: "
    "call benchmark",
    "takes_long_once": "",
    "is_pedantic": "",
    "is_set_up_beside_arguments": "",
    "is_pedantic_in_vain": "in base it raises: ValueError: a set-up before each call allows one "
    "iteration a round",
    "has_no_statistics": "",
    "stores_words": "in base it stores no numbers: could not convert string to float: 'low'",
}
STRANGE = """
import os
import threading
import time
from pathlib import Path

import pytest

from waiting import wait

HERE = Path(__file__).parent
SHARED = []


def fail():
    raise ValueError("no such thing")


@pytest.fixture(scope="module")
def shared():
    SHARED.append(1)
    return SHARED


def test_raises(benchmark):
    benchmark(fail)


def test_fails_after(benchmark):
    benchmark(wait)
    assert 1 == 2


def test_hangs(benchmark):
    benchmark(time.sleep, 600)


def test_kills_its_process(benchmark, capfd):
    with capfd.disabled():
        os.write(2, b"so long")
        os.kill(os.getpid(), 9)


def test_closes_its_files(benchmark):
    os.closerange(3, 1000)
    time.sleep(600)


def test_prints_a_megabyte(benchmark):
    benchmark(wait)
    print("x" * 2**20)
    os.write(1, b"x" * 2**20)


def test_changes_directory_and_leaves_a_thread(benchmark, tmp_path):
    os.chdir(tmp_path)
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    benchmark(wait)


def test_finds_its_directory_and_no_thread(benchmark):
    assert Path.cwd() == HERE
    assert threading.active_count() == 1
    benchmark(wait)


def test_forks(benchmark):
    child = os.fork()
    benchmark(wait)
    if child:
        os.waitpid(child, 0)


def test_calls_benchmark_twice(benchmark):
    benchmark(wait)
    benchmark(wait)


def test_never_calls_benchmark(benchmark):
    pass


def test_shares_a_fixture(benchmark, shared):
    benchmark(wait)


def test_shares_it_again(benchmark, shared):
    assert shared == [1]
    benchmark(wait)


def test_is_skipped(benchmark):
    pytest.skip("no such device")


@pytest.mark.xfail
def test_is_expected_to_fail(benchmark):
    benchmark(fail)


def test_weaves(benchmark):
    benchmark.weave("time.sleep")


def test_takes_long_once(benchmark):
    calls = []

    def call():
        if not calls:
            wait(0.3)
        calls.append(wait())

    benchmark(call)


def test_is_pedantic(benchmark):
    seen = []

    def set_up():
        seen.append("set up")
        return (), {"word": "called"}

    def called(word):
        seen.append(word)
        wait()
        return word

    def tear_down(word):
        seen.append("torn down")

    assert benchmark.pedantic(called, setup=set_up, teardown=tear_down, rounds=2) == "called"
    assert seen == ["set up", "called", "torn down"] * (len(seen) // 3)


def test_is_set_up_beside_arguments(benchmark):
    benchmark.pedantic(lambda word: wait(), args=("word",), setup=lambda: None)


def test_is_pedantic_in_vain(benchmark):
    benchmark.pedantic(wait, setup=wait, iterations=2)


@pytest.mark.benchmark(group="a group")
def test_has_no_statistics(benchmark):
    benchmark.pedantic(wait, args=(), rounds=5, warmup_rounds=1)
    assert benchmark.stats is None
    assert benchmark.disabled
    assert benchmark.group == "a group"
    assert benchmark.name == "test_has_no_statistics"


def test_stores_words(benchmark):
    benchmark(wait)
    benchmark.extra_info["losses"] = ["low", "lower"]
"""


@pytest.fixture(scope="module")
def strange(tmp_path_factory, short_turns):
    """A gate on identical code whose cases do what cases should not."""
    short_turns.setattr(company, "PATIENCE_SECONDS", 6)
    trees = [toy.write_tree(tmp_path_factory.mktemp(name) / name) for name in ("base", "head")]
    for tree in trees:
        (tree / "test_strange.py").write_text(STRANGE)
    result = run(*trees, arguments=("test_strange.py",), seconds_per_case=0.5)
    short_turns.setattr(company, "PATIENCE_SECONDS", 120)
    return result


@pytest.mark.parametrize("case", STRANGE_CASES)
def test_every_strange_case_is_answered_in_a_sentence(strange, case):
    """It is measured, or the gate says why not; the others are measured all the same."""
    found = strange.judgements[f"test_strange.py::test_{case}"]

    assert found.reason.startswith(STRANGE_CASES[case])
    if not STRANGE_CASES[case]:
        assert found.verdict is Verdict.OK


def test_what_is_left_out_by_both_fails_no_gate(strange):
    """It has a verdict of its own, and what raises has another."""
    found = {name.split("test_")[-1]: one.verdict for name, one in strange.judgements.items()}

    left_out = {name for name, verdict in found.items() if verdict is Verdict.LEFT_OUT}
    assert left_out == {"is_skipped", "is_expected_to_fail"}
    assert found["raises"] is Verdict.INCOMPARABLE
    assert strange.exit_code is ExitCode.INCOMPARABLE


def test_processes_that_each_start_from_their_beginning(compare):
    """A changed loss passes where it is allowed."""
    result = compare(changed_losses, fresh="exec", allow_learning_change=True)

    assert verdicts(result) == dict.fromkeys((WAIT_1, WAIT_16, WAIT), Verdict.OK)
    assert result.exit_code is ExitCode.OK


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="nothing is pinned here anyway")
def test_two_interpreters_where_processes_cannot_be_pinned(compare, tmp_path, monkeypatch, capfd):
    """As on macOS; there is no server that both could be forked from."""
    monkeypatch.delattr(os, "sched_setaffinity")
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)

    result = compare(base_python=str(other))

    assert result.exit_code is ExitCode.OK
    assert "cannot pin processes to a core" in capfd.readouterr().err
    assert not result.setting["cores"]


def changed_losses(tree):
    """As a change of what the code learns."""
    toy.change(tree, "LOSSES", [2.3, 2.25, 2.1])


def lack_a_module(tree):
    """As an environment that misses something does."""
    (tree / "waiting.py").write_text("import nothing_of_this_name\n")


def run_other_code(tree):
    """As an editable installation of another checkout may make it."""
    base = tree.parent.parent / "base"
    (tree / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(base)!r})\nimport settings\n"
    )


def lack_benchmarks(tree):
    """Both versions, in the end: the base is measured with the same arguments."""
    for one in (tree, tree.parent.parent / "base"):
        (one / "test_toy.py").write_text("def test_nothing():\n    pass\n")


def refuse_an_option(tree):
    """As an option that a version does not know is."""
    (tree / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--unknown'\n")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lack_a_module, "head cannot be collected: .*No module named 'nothing_of_this_name'"),
        (run_other_code, "head ran .*settings.py, the code of base"),
        (lack_benchmarks, "pytest collects no case that uses the benchmark fixture"),
        (refuse_an_option, r"head died \(exit code 4\); .*unrecognized arguments: --unknown"),
    ],
    ids=["does_not_import", "other_code", "no_cases", "unknown_option"],
)
def test_a_version_that_cannot_be_measured_at_all_is_refused(compare, change, sentence):
    """A gate that compared the base with itself in secret would pass everything."""
    with pytest.raises(IncomparableError, match=re.compile(sentence, re.DOTALL)):
        compare(change)


def test_the_gate_of_this_repository_collects_what_it_says():
    """The arguments in pyproject.toml fit the suite: the engines and batch sizes they name."""
    from bench.gate.command import default_arguments  # noqa: PLC0415

    root = toy.ROOT
    head = Version(name="head", tree=root, python=sys.executable)
    arguments = default_arguments(root)
    with (
        company.Company(arguments=arguments, threads=1, shares_a_server=True) as here,
        here.fresh([head], comparison.random.Random(0)) as (process,),
    ):
        found = process.ask(do="describe")

    names = sorted(name.split("::")[-1] for name in found["functions"])
    assert not found["errors"]
    assert len(names) == 14
    assert "test_step[engine=native-batch_size=1]" in names
    assert "test_epoch[engine=eager-batch_size=256]" in names


REFUSALS = {
    "--base=nowhere": (2, "'nowhere' names no commit here: name a branch, a tag or a commit"),
    "--margin=5": (2, "'5' is not a share such as 5% or 0.05"),
    "--margin=-5%": (2, "'-5%' is not a share"),
    "--seconds-per-case=0": (2, "'0' is not a number of seconds above 0"),
    "--threads=100000": (2, "100000 threads on"),
    "--threads=0": (2, "'0' is not a whole number of at least 1"),
    "--tree=nowhere": (2, "'nowhere' is no folder"),
    "--json=nowhere/gate.json": (2, "'nowhere/gate.json' is no file in a folder that exists"),
    "--against=a.json": (2, "--against names runs to compare with --saved"),
    "--saved=nowhere.json --against=a.json": (2, "nowhere.json cannot be read"),
    "--saved=a.json": (2, "saved runs are compared with saved runs"),
    "--base-python=/no/python": (4, "cannot run /no/python"),
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
