"""Gates on two versions of a toy repository, whose benchmarks only wait."""

import ast
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import iniconfig
import pytest

import toy
from pytest_duet import ExitCode, IncomparableError, Options, comparison
from pytest_duet.trees import Version
from pytest_duet.verdict import Verdict


def run(base, head, *arguments, base_python=sys.executable, **options):
    """Compare two trees, and return the result."""
    return comparison.compare(
        Version(name="base", tree=base, python=base_python),
        Version(name="head", tree=head, python=sys.executable),
        ["-p", "no:cacheprovider", *arguments],
        Options(**options),
        tell=lambda _: None,
    )


# Per case: seconds, MiB and losses of base, those of head, and the verdict.
SAME = 0.0005, 8, [2.3, 2.2]
CHANGES = {
    "nothing": (SAME, SAME, Verdict.OK),
    "time_doubled": (SAME, (0.001, 8, [2.3, 2.2]), Verdict.REGRESSION),
    "time_halved": (SAME, (0.00025, 8, [2.3, 2.2]), Verdict.IMPROVEMENT),
    "head_too_long": ((0.05, 8, []), (0.3, 8, []), Verdict.REGRESSION),
    "memory_grown": (SAME, (0.0005, 64, [2.3, 2.2]), Verdict.REGRESSION),
    "losses_changed": (SAME, (0.0005, 8, [2.3, 2.25]), Verdict.INCOMPARABLE),
    "figures_lost": (SAME, (0.0005, 0, []), Verdict.INCOMPARABLE),
    "figures_gained": ((0.0005, 0, []), SAME, Verdict.OK),
    "skipped_in_head": (SAME, "skipped", Verdict.INCOMPARABLE),
    "too_long": ((0.69, 0, []), (0.69, 0, []), Verdict.LEFT_OUT),
    "too_long_later": (SAME, SAME, Verdict.INCONCLUSIVE),
    "only_in_base": (SAME, "absent", Verdict.INCOMPARABLE),
    "only_in_head": ("absent", SAME, Verdict.INCOMPARABLE),
}
TOO_LONG = "takes too long for 5 turns: use --seconds-per-case=3.5 or more"
REASONS = {
    "memory_grown": "peak memory grew from 8.0 to 64.0 MiB",
    "losses_changed": "the loss of step 2 differs (--allow-learning-change lets it pass)",
    "figures_lost": "head no longer stores losses and peak_memory_bytes",
    "skipped_in_head": "in head it is skipped: late",
    "too_long": TOO_LONG,
    "too_long_later": f"after 1 pair it {TOO_LONG}",
    "only_in_base": "missing in head",
    "only_in_head": "missing in base",
}
CHANGED = """
from pathlib import Path

import pytest

from waiting import wait

IS_HEAD = Path(__file__).parent.name == "head"
FIRST_RUNS = 5  # two in the rehearsal, and three in the first pair


def runs(name):
    with (Path(__file__).parents[1] / name).open("a+") as file:
        file.write(".")
        return file.tell()


def new_case(name, figures):
    def test(benchmark):
        if figures == "skipped":
            pytest.skip("late")
        seconds, peak, losses = figures
        benchmark(wait, 0.69 if name == "too_long_later" and runs(name) > FIRST_RUNS else seconds)
        if peak:
            benchmark.extra_info["peak_memory_bytes"] = peak << 20
        if losses:
            benchmark.extra_info["losses"] = losses

    return test


for name, sides in CASES.items():
    if sides[IS_HEAD] != "absent":
        globals()[f"test_{name}"] = new_case(name, sides[IS_HEAD])
"""
# Cases that misbehave. A case's docstring is the reason that the gate gives, with "..." for any
# text; a case without a docstring is measured.
STRANGE = """
import os
import threading
import time
from pathlib import Path

import pytest

from waiting import wait

@pytest.fixture(scope="module")
def shared(seen=[]):
    seen.append(1)
    return seen

def test_raises(benchmark):
    'in base it raises: ValueError: invalid literal'
    benchmark(int, "x")

def test_fails_after(benchmark):
    'in base it raises: assert 1 == 2'
    benchmark(wait)
    assert 1 == 2

def test_hangs(benchmark):
    'base did not answer for 6 s: it is stuck, ... --fresh=exec starts each process'
    benchmark(time.sleep, 600)

def test_kills_its_process(benchmark, capfd):
    'base died (SIGKILL); its last output: collected ... test_strange.py so long'
    with capfd.disabled():
        os.write(2, b"so long")
        os.kill(os.getpid(), 9)

def test_closes_its_files(benchmark):
    'base died (SIGKILL); its last output: '
    os.closerange(3, 1000)
    time.sleep(600)

def test_changes_directory_and_leaves_a_thread(benchmark, tmp_path):
    os.chdir(tmp_path)
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    benchmark(wait)

def test_finds_its_directory_and_no_thread(benchmark):
    assert Path.cwd() == Path(__file__).parent
    assert threading.active_count() == 1
    benchmark(wait)

def test_forks(benchmark):
    child = os.fork()
    benchmark(wait)
    if child:
        os.waitpid(child, 0)

def test_calls_benchmark_twice(benchmark):
    'in base it raises: RuntimeError: benchmark is called twice in one case: make it two'
    benchmark(wait)
    benchmark(wait)

def test_never_calls_benchmark(benchmark):
    'in base it never calls benchmark'

def test_shares_a_fixture(benchmark, shared):
    benchmark(wait)

def test_shares_it_again(benchmark, shared):
    assert shared == [1]
    benchmark(wait)

def test_is_skipped(benchmark):
    'is skipped: no such device'
    pytest.skip("no such device")

@pytest.mark.xfail
def test_is_expected_to_fail(benchmark):
    'is expected to fail (xfail)'
    benchmark(int, "x")

def test_weaves(benchmark):
    'in base it raises: NotImplementedError: the gate does not measure benchmark.weave'
    benchmark.weave("time.sleep")

def test_takes_long_once(benchmark, first=[0.3]):
    benchmark(lambda: wait(first.pop() if first else 0.0005))

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

@pytest.mark.benchmark(group="a group")
def test_has_no_statistics(benchmark):
    benchmark.pedantic(wait, args=(), rounds=5, warmup_rounds=1)
    assert benchmark.stats is None
    assert (benchmark.group, benchmark.name) == ("a group", "test_has_no_statistics")

def test_sets_up_slowly(benchmark):
    seen = []
    benchmark.pedantic(lambda: wait(1e-6), setup=lambda: seen.append(time.sleep(0.005)))
    assert len(seen) < 100

def test_stops_the_clock(benchmark, monkeypatch):
    'is timed by a clock that does not move'
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    benchmark(wait)

def test_stores_words(benchmark):
    'in base it stores no numbers: could not convert string to float'
    benchmark(wait)
    benchmark.extra_info["losses"] = ["low", "lower"]
"""

ANSWERS = {
    node.name: ast.get_docstring(node)
    for node in ast.parse(STRANGE).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Return the result of one gate on all changed and strange cases."""
    folder = tmp_path_factory.mktemp("compared")
    trees = [toy.write_tree(folder / name) for name in ("base", "head")]
    for tree in trees:
        cases = {name: sides for name, (*sides, _) in CHANGES.items()}
        (tree / "test_changed.py").write_text(f"CASES = {cases}\n{CHANGED}")
        (tree / "test_strange.py").write_text(STRANGE)
    return run(*trees, "test_changed.py", "test_strange.py")


@pytest.mark.parametrize("case", CHANGES)
def test_every_change_gets_its_verdict(compared, case):
    """Each changed case gets its verdict and reason, whatever the other cases do."""
    judgement = compared.judgements[f"test_changed.py::test_{case}"]

    assert judgement.verdict is CHANGES[case][-1]
    assert judgement.reason == REASONS.get(case, "")


def only(result, *cases):
    """Return the result with the judgements of only these cases."""
    return replace(result, judgements={name: result.judgements[name] for name in cases})


def test_a_case_that_is_cut_short_keeps_its_evidence_and_does_not_pass(compared):
    """A case with a pair is cut short and fails the gate; a case without a pair is left out."""
    name = "test_changed.py::test_too_long_later"

    assert compared.judgements[name].estimate.ratio == pytest.approx(1, abs=0.01)
    assert len(compared.evidence.screen[name]) == 1
    assert len(compared.evidence.seconds[name][0]) == 1
    assert "test_changed.py::test_too_long" not in compared.evidence.seconds
    assert only(compared, name, "test_changed.py::test_nothing").exit_code == 3


@pytest.mark.parametrize("case", ANSWERS)
def test_every_strange_case_is_measured_or_gets_a_reason(compared, case):
    """A strange case does not keep the gate from measuring the other cases."""
    judgement = compared.judgements[f"test_strange.py::{case}"]
    answer = ANSWERS[case]

    assert all(part in judgement.reason for part in (answer or "").split(" ... "))
    assert (judgement.verdict is Verdict.OK) == (answer is None)


def test_the_exit_code_is_that_of_the_worst_verdict(compared):
    """A case that both versions skip fails no gate, unless nothing else was measured."""
    ok, slow = "test_changed.py::test_nothing", "test_changed.py::test_time_doubled"
    skipped, raising = "test_strange.py::test_is_skipped", "test_strange.py::test_raises"

    assert compared.judgements[skipped].verdict is Verdict.LEFT_OUT
    assert compared.exit_code is only(compared, slow, raising).exit_code is ExitCode.REGRESSION
    assert only(compared, ok, skipped).exit_code is ExitCode.OK
    assert only(compared, skipped).exit_code is ExitCode.INCONCLUSIVE
    assert only(compared, ok, raising).exit_code is ExitCode.INCOMPARABLE


@pytest.fixture
def trees(tmp_path):
    """Return the trees of a base and a head, both the toy."""
    return toy.write_tree(tmp_path / "base"), toy.write_tree(tmp_path / "elsewhere" / "head")


def test_two_interpreters_where_no_process_can_be_pinned(trees, tmp_path, monkeypatch, capfd):
    """Without pinning, as on macOS, and without forks, a changed loss passes if it is allowed."""
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    toy.change(trees[1], "LOSSES", [2.3, 2.25, 2.1])

    result = run(*trees, "-k=16", base_python=str(python), allow_learning_change=True)

    assert {name: judged.verdict for name, judged in result.judgements.items()} == {
        "test_toy.py::test_wait[size=16]": Verdict.OK
    }
    assert "cannot pin processes to a core" in capfd.readouterr().err
    assert not result.setting["cores"]


def test_processes_may_start_from_their_beginning_and_compute_with_two_threads(trees):
    """Identical code passes with --fresh=exec and --threads=2."""
    result = run(*trees, "-k=16", fresh="exec", threads=2)

    assert {judged.verdict for judged in result.judgements.values()} == {Verdict.OK}
    assert len(result.setting["cores"]) == min(2, len(comparison.usable_cores()))


OTHER_CODE = """
import importlib.util
import sys
from pathlib import Path

file = Path(__file__).parents[2] / "base" / "settings.py"
spec = importlib.util.spec_from_file_location("settings", file)
sys.modules["settings"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["settings"])
"""


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("waiting.py", "import gone", "head cannot be collected: .*No module named 'gone'"),
        ("conftest.py", OTHER_CODE, "head ran .*settings.py, the code of base"),
        ("pytest.ini", "[pytest]\naddopts=--new", r"head died \(exit code 4\); .*arguments: --new"),
    ],
)
def test_a_version_that_cannot_be_measured_at_all_is_refused(trees, file, content, sentence):
    """The head cannot be collected, runs the base's code, or dies at its start."""
    (trees[1] / file).write_text(content)

    with pytest.raises(IncomparableError, match=re.compile(sentence, re.DOTALL)):
        run(*trees, "test_toy.py")


def test_a_project_that_is_imported_from_elsewhere_is_refused(trees):
    """Otherwise both versions would run the installed package."""
    for tree in trees:
        (tree / "pyproject.toml").write_text('[project]\nname = "iniconfig"\n')
        (tree / "test_installed.py").write_text(
            "from waiting import wait\ndef test_installed(benchmark):\n"
            "    import iniconfig\n    benchmark(wait)\n"
        )

    with pytest.raises(IncomparableError, match=r"base ran .*, not the iniconfig of its tree"):
        run(*trees, "test_installed.py")


def test_versions_without_a_benchmark_are_refused(trees):
    """At least one collected test must use the benchmark fixture."""
    with pytest.raises(IncomparableError, match="pytest collects no case that uses the benchmark"):
        run(*trees, "-k=nothing")


MARKED = """
import pytest

from waiting import wait


@pytest.mark.benchmark
def test_whole(tmp_path):
    assert tmp_path.exists()
    wait()


@pytest.mark.codspeed_benchmark
def test_whole_too():
    wait()


@pytest.mark.benchmark(group="decorated")
def test_decorated(benchmark):
    @benchmark
    def result():
        wait()
        return 1

    assert result == 1


def test_unmarked():
    raise AssertionError("a gate must not run an unmarked test")
"""


def test_a_marked_test_is_timed_as_a_whole(trees):
    """A marked test without the fixture is timed, as by pytest-codspeed."""
    for tree in trees:
        (tree / "test_marked.py").write_text(MARKED)
        (tree / "pyproject.toml").write_text("")
    toy.change(trees[1], "UNIT_SECONDS", 0.001)

    result = run(*trees, "test_marked.py")

    judgements = result.judgements.values()
    assert {each.name.partition("::")[2]: each.verdict for each in judgements} == {
        "test_whole": Verdict.REGRESSION,
        "test_whole_too": Verdict.REGRESSION,
        "test_decorated": Verdict.REGRESSION,
    }


COVERAGE = """
import sys

def test_wait_untraced(benchmark):
    from waiting import wait

    assert sys.gettrace() is None
    assert "coverage" not in str(getattr(sys, "monitoring", ""))
    benchmark(wait)
"""
RANDOM = """
import random

from waiting import wait

def test_draws(benchmark):
    benchmark.extra_info["losses"] = [random.random()]
    benchmark(wait)
"""
TIMEOUT = """
import pytest
import time as real

from waiting import wait

@pytest.mark.timeout(0.05)
def test_outlives_its_timer(benchmark):
    real.sleep(0.2)
    benchmark(wait)
"""
ASYNC = """
import asyncio
import pytest

from waiting import wait

@pytest.mark.asyncio
async def test_is_no_benchmark():
    await asyncio.sleep(0)

@pytest.fixture
async def connection():
    return 1

def test_sync(benchmark):
    benchmark(wait)
"""
# Per plugin: the options with which a suite uses it, and a case that must still be measured.
PLUGINS = {
    "pytest_cov": (["--cov=.", "--cov-fail-under=100"], COVERAGE),
    "pytest_randomly": ([], RANDOM),
    "xdist": (["-n2"], RANDOM),
    "pytest_timeout": (["--timeout=0.05"], TIMEOUT),
    "pytest_asyncio": (["--asyncio-mode=auto"], ASYNC),
    "pytest_codspeed": ([], RANDOM),
}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins_that_suites_use_do_no_harm(trees, plugin):
    """The cases are measured beside the plugin, and identical code passes."""
    pytest.importorskip(plugin)
    options, source = PLUGINS[plugin]
    for tree in trees:
        (tree / "test_beside.py").write_text(source)

    result = run(*trees, *options, "test_beside.py", "-W", "default")

    verdicts = {judgement.verdict for judgement in result.judgements.values()}
    assert verdicts == {Verdict.OK}, result.judgements


def test_within_no_time_nothing_is_judged_and_changed_cases_would_come_first(trees):
    """Every case is "not judged", the changed case is listed first, and the exit code is 5."""
    names = [f"test_{number}" for number in range(6)]
    for tree in trees:
        cases = (f"def {name}(benchmark):\n    benchmark(wait)\n" for name in names)
        (tree / "test_many.py").write_text("\n".join(["from waiting import wait\n", *cases]))
    head = trees[1] / "test_many.py"
    head.write_text(
        head.read_text().replace("def test_5(benchmark)", "def test_5(benchmark, request)")
    )

    result = run(*trees, "test_many.py", minutes=1e-9)

    assert next(iter(result.judgements)) == "test_many.py::test_5"
    assert result.exit_code is ExitCode.NOT_JUDGED
    assert {each.reason for each in result.judgements.values()} == {"--minutes ran out"}


def test_what_pytest_imports_is_compared_too(trees):
    """A tree that holds a package of pytest's own imports, here iniconfig, runs its own copy."""
    for tree, name in zip(trees, ("base", "head"), strict=True):
        package = tree / "src" / "iniconfig"
        shutil.copytree(Path(iniconfig.__file__).parent, package)
        with (package / "__init__.py").open("a") as file:
            file.write(f"\nVERSION = {name!r}\n")
        case = f"assert iniconfig.VERSION == {name!r}; benchmark(wait)"
        (tree / "test_early.py").write_text(
            f"import iniconfig\nfrom waiting import wait\ndef test_early(benchmark):\n    {case}\n"
        )

    result = run(*trees, "test_early.py")

    assert result.judgements["test_early.py::test_early"].verdict is Verdict.OK
