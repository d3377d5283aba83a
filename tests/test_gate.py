"""Two versions compared: repositories whose benchmarks only wait, so that a gate takes seconds."""

import os
import re
import sys

import pytest

from bench import __main__ as bench_main
from bench.gate import company, comparison, turns
from bench.gate.company import Version, WorkerError
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


def changed(name, value):
    """A change of one of the toy's settings."""
    return lambda tree: toy.change(tree, name, value)


def verdicts(result):
    """By name."""
    return {name: one.verdict for name, one in result.judgements.items()}


def reasons(result):
    """By name, where there is one."""
    return {name: one.reason for name, one in result.judgements.items() if one.reason}


@pytest.mark.parametrize("fresh", ["fork", "exec"])
def test_identical_code_in_two_folders_is_ok(compare, fresh):
    """Every case and the family; what uses no benchmark fixture is none."""
    result = compare(fresh=fresh)

    assert verdicts(result) == dict.fromkeys((WAIT_1, WAIT_16, WAIT), Verdict.OK)
    assert result.exit_code is ExitCode.OK


@pytest.mark.parametrize(
    ("unit_seconds", "verdict", "code"),
    [(0.001, Verdict.REGRESSION, ExitCode.REGRESSION), (0.00025, Verdict.IMPROVEMENT, ExitCode.OK)],
    ids=["twice", "half"],
)
def test_a_head_that_takes_another_time_is_called(compare, unit_seconds, verdict, code):
    """Twice the base's time, and half."""
    result = compare(changed("UNIT_SECONDS", unit_seconds))

    assert verdicts(result) == dict.fromkeys((WAIT_1, WAIT_16, WAIT), verdict)
    assert result.exit_code is code


def test_a_head_that_alone_takes_too_long_is_a_regression(compare, tmp_path):
    """It is not left out: five turns of the base fit."""
    toy.change(tmp_path / "base", "UNIT_SECONDS", 0.05)
    result = compare(changed("UNIT_SECONDS", 0.3), seconds_per_case=1)

    assert set(verdicts(result).values()) == {Verdict.REGRESSION}


def test_growth_of_memory_is_a_regression_whatever_the_speed(compare):
    """8 MiB became 64, in the figure that the case stores."""
    result = compare(changed("PEAK_BYTES", 1 << 26))

    assert verdicts(result)[WAIT_1] is Verdict.REGRESSION
    assert reasons(result)[WAIT_1] == "peak memory grew from 8.0 to 64.0 MiB"


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
        assert reasons(result)[WAIT_1].endswith("the loss of step 2 differs")


def test_a_case_that_one_side_lacks_is_incomparable(compare):
    """Whichever side; the other case gets its verdict."""

    def change(tree):
        file = tree / "test_toy.py"
        file.write_text(file.read_text().replace("[1, 16]", "[1, 32]"))

    result = compare(change)

    assert verdicts(result)[WAIT_1] is Verdict.OK
    assert reasons(result) == {
        f"{WAIT}[size=32]": "missing in base",
        WAIT_16: "missing in head",
    }


def test_a_case_that_only_the_head_skips_is_incomparable(compare):
    """What is not run cannot be slower."""

    def change(tree):
        file = tree / "test_toy.py"
        file.write_text(file.read_text().replace("    benchmark(wait)", "    pytest.skip('late')"))

    result = compare(change)

    assert verdicts(result)[WAIT_1] is Verdict.INCOMPARABLE
    assert reasons(result)[WAIT_1] == "in head it is skipped: late"


# Each case, and the sentence that answers it; "" for a case that is measured.
STRANGE_CASES = {
    "raises_before": "in base it raises: ValueError: no such thing",
    "raises_within": "in base it raises: ValueError: no such thing",
    "fails_after": "in base it raises: assert 1 == 2",
    "hangs": "base did not answer for 6 s: it is stuck, or it does not survive being forked; "
    "--fresh=exec starts each process from the beginning",
    "kills_its_process": "base died (SIGKILL); its last words: collected 26 items; ; "
    "test_strange.py so long",
    "closes_its_files": "base died (SIGKILL); its last words: ",
    "prints_a_megabyte": "",
    "changes_directory": "",
    "finds_its_directory": "",
    "leaves_a_thread": "",
    "finds_no_thread": "",
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
    "takes_long": "is too long to take turns: --seconds-per-case=",  # and as many as it took
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

HERE = Path(__file__).parent
SHARED = []


def wait():
    until = time.perf_counter() + 0.0005
    while time.perf_counter() < until:
        pass


def fail():
    raise ValueError("no such thing")


@pytest.fixture(scope="module")
def shared():
    SHARED.append(1)
    return SHARED


def test_raises_before(benchmark):
    fail()


def test_raises_within(benchmark):
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


def test_changes_directory(benchmark, tmp_path):
    os.chdir(tmp_path)
    benchmark(wait)


def test_finds_its_directory(benchmark):
    assert Path.cwd() == HERE
    benchmark(wait)


def test_leaves_a_thread(benchmark):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    benchmark(wait)


def test_finds_no_thread(benchmark):
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
            time.sleep(0.3)
        calls.append(wait())

    benchmark(call)


def test_takes_long(benchmark):
    benchmark(time.sleep, 0.4)


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
    if not STRANGE_CASES[case]:  # a busy machine may leave doubt
        assert found.verdict in {Verdict.OK, Verdict.INCONCLUSIVE}


def test_what_is_left_out_by_both_fails_no_gate(strange):
    """It has a verdict of its own, and what raises has another."""
    found = {name.split("test_")[-1]: one.verdict for name, one in strange.judgements.items()}

    left_out = {name for name, verdict in found.items() if verdict is Verdict.LEFT_OUT}
    assert left_out == {"is_skipped", "is_expected_to_fail", "takes_long"}
    assert found["raises_before"] is Verdict.INCOMPARABLE
    assert strange.exit_code is ExitCode.INCOMPARABLE


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="nothing is pinned here anyway")
def test_where_processes_cannot_be_pinned_the_gate_says_so_and_goes_on(compare, monkeypatch, capfd):
    """As on macOS."""
    monkeypatch.delattr(os, "sched_setaffinity")

    result = compare()

    assert "cannot pin processes to a core" in capfd.readouterr().err
    assert not result.setting["cores"]
    assert set(verdicts(result)) == {WAIT_1, WAIT_16, WAIT}


def test_two_interpreters_start_each_process_from_its_beginning(compare, tmp_path):
    """There is no server that both could be forked from."""
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)

    assert compare(base_python=str(other)).exit_code is ExitCode.OK


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
    with pytest.raises(WorkerError, match=re.compile(sentence, re.DOTALL)):
        compare(change)


def test_the_gate_of_this_repository_collects_what_it_says():
    """The arguments in pyproject.toml fit the suite: the engines and batch sizes they name."""
    from bench.gate.command import default_arguments  # noqa: PLC0415

    root = toy.ROOT
    head = Version(name="head", tree=root, python=sys.executable)
    setting = company.Setting(arguments=default_arguments(root), threads=1)
    with (
        company.Company(setting=setting, shares_a_server=True) as here,
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
