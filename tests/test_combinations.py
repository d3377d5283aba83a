"""Any two options of the suite together give a result, or one sentence before any work."""

import itertools
import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import cases
from bench.measure import floor, step_time
from bench.suite import plugin
from mnist_mlp.engines.compiled import Compiled
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.engines.native.native import Native
from tests import idx, own_task, suite

# One row per option: its values; the empty value leaves the option out.
OPTIONS = [
    (
        "",
        "bench/test_step.py",
        "bench/test_workers.py bench/test_alignment.py bench/test_threads.py",
    ),
    ("", "--engines=eager,compiled", "--engines=loader", "--engines=ddp", "--engines=native"),
    ("", "--batch-sizes=1", "--batch-sizes=64,100000"),
    ("", "--full"),
    ("", "-k=step or exchange", "-k=nothing"),
    ("", "--workers=1", "--workers=3"),
    ("", "--lr-rules=tuned", "--lr-rules=linear,sqrt"),
    ("", "--seeds=7"),
    ("", "--target-accuracy=1", "--target-accuracy=0.0001"),
    ("", "--max-epochs=1"),
    ("", "--epoch-samples=1", "--epoch-samples=1000000"),
    ("", "--native-form=simplest"),
    ("", "--lr=0.0001"),
    ("", "--task=FOLDER/mine.py"),
    ("", "--threads=1"),
    ("", "--force"),
    ("", "--rerun-disturbed=1"),
    ("", "--journal=FOLDER/journal-NUMBER.jsonl"),
    ("", "--benchmark-save=saved", "--benchmark-json=FOLDER/run.json"),
    ("", "--benchmark-compare", "--benchmark-compare=0001 --benchmark-compare-fail=min:1000000%"),
    ("", "--benchmark-group-by=group,param"),
]
# Options that every run refuses, and a part of the sentence.
REFUSED = {
    "--batch-sizes=8,0": "'0' is not a whole number from 1",
    "--batch-sizes=8,8": "'8,8' names a value twice",
    "--batch-sizes=": "'' is not a whole number",
    "--engines=warp": "'warp' is not an engine: choose from loader, eager",
    "--lr=-1": "'-1' is not a number above 0",
    "--target-accuracy=95": "'95' is not a fraction above 0 and at most 1",
    "--max-epochs=0": "'0' is not a whole number from 1",
    "--seeds=one": "'one' is not a whole number from 0",
    "--threads=100000": "100000 threads on",
    "--device=abacus": "'abacus' is not available here",
    "--task=nowhere.py": "'nowhere.py' names no file: give FILE.py or MODULE:NAME",
    "--task=FOLDER/mine.py --data-root=FOLDER": "leave out --data-root, or --task",
    "--data-root=bench": "bench holds no folder NAME/raw",
    "--data-root=nowhere": "'nowhere' is not a folder that exists",
    "--journal=a.jsonl --resume=b.jsonl": "leave --journal out",
    "--resume=nowhere.jsonl": "there is no such file",
    "--benchmark-compare=0099": "finds no saved run that matches '0099' in",
    "--benchmark-compare-fail=min:5%": "add --benchmark-compare",
    "--benchmark-json=nowhere/run.json": "nowhere is not a folder that exists; name another place",
    "--benchmark-json=FOLDER": "cannot be written: it is a folder",
    "--benchmark-save=saved --benchmark-storage=file://FOLDER/a/b": "ERROR: --benchmark-storage: ",
    "--benchmark-histogram": "needs pygal",
    "--benchmark-group-by=nothing": "'nothing' is not a grouping: choose from group, name",
    "--benchmark-group-by=param:color": "has no parameter 'color'",
    "--engines=loader bench/test_alignment.py": "test_alignment has no engine: change --engines",
    "--workers=1 -k=exchange bench/test_workers.py": "test_exchange has no group: change",
}


def pairwise(options):
    """Yield rows with a value per option, until every pair of values is in a row."""
    places = range(len(options))
    missing = {
        frozenset({(i, a), (j, b)})
        for i, j in itertools.combinations(places, 2)
        for a in options[i]
        for b in options[j]
    }
    while missing:
        row = dict(min(missing, key=sorted))
        for place in places:
            if place not in row:
                row[place] = max(
                    options[place],
                    key=lambda value: sum(
                        frozenset({(place, value), other}) in missing for other in row.items()
                    ),
                )
        missing -= set(map(frozenset, itertools.combinations(row.items(), 2)))
        yield [row[place] for place in places]


class FakeCrew:
    """Answers as a crew of workers would, but starts no process."""

    def __init__(self, size):
        self.size = size

    def regroup(self, size, *, threads):  # noqa: ARG002
        """Set the number of workers that answer."""
        self.size = size

    def ask(self, function, *_):
        """Return seconds, losses or bytes."""
        answers = {"steps": 1e-3, "one_epoch": (1.0, 0.5), "exchange": 1e-3, "losses": [1.0]}
        return self.size * [answers.get(function.__name__, 1)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Small data and quick cases: no case compiles, starts a process or is timed for long."""
    idx.write_dataset(tmp_path / "data" / "KMNIST" / "raw", train=12, test=4)
    few = Path(own_task.__file__).read_text().replace("120", "12")
    (tmp_path / "mine.py").write_text(few)
    monkeypatch.chdir(suite.ROOT)  # pytest reads this folder's conftest if no path is given
    monkeypatch.setattr(cases, "SECONDS", {"step": 1e-6, "epoch": 1e-6})
    for kind in ("", "CONVERGENCE_", "ALL_", "ALL_CONVERGENCE_"):
        monkeypatch.setattr(cases, f"{kind}BATCH_SIZES", (1, 60000))
    monkeypatch.setattr(floor, "epoch_seconds", lambda *_: 1e-9)
    monkeypatch.setattr(plugin, "started", lambda count: nullcontext(FakeCrew(count)))
    monkeypatch.setattr(step_time, "measure", times)
    monkeypatch.setattr(Compiled, "prepare", unavailable)
    return tmp_path


def unavailable(*_, **__):
    """Refuse to train."""
    raise UnavailableError("it cannot train here")


def times(subjects, *_, **__):
    """Seconds per step from two processes: a microsecond per sample."""
    return {subject: [[1e-6 * subject.batch_size] * 3] * 2 for subject in subjects}


def run(folder, *words):
    """Run the suite, and check what every run promises."""
    words = [word.replace("FOLDER", str(folder)) for word in words]
    is_own = any(word.startswith("--task") for word in words)
    data = [] if is_own else [f"--data-root={folder / 'data'}"]
    done = suite.run(*data, f"--benchmark-storage=file://{folder / 'storage'}", *words)
    assert "INTERNALERROR" not in done.output
    assert "Traceback" not in done.output
    if done.code == pytest.ExitCode.USAGE_ERROR:
        assert len(re.findall(r"^ERROR: .+", done.output, re.MULTILINE)) == 1, done.output
        assert "[  1/" not in done.output
    return done


def words_of(*values):
    """Split values at spaces before an option or a path; other spaces stay."""
    return [word for value in values for word in re.split(r" (?=-|bench)", value) if word]


def test_every_pair_of_options_ends_in_a_result_or_in_one_sentence(folder):
    """Options are refused only if they leave no case to measure."""
    rows = list(pairwise(OPTIONS))
    base = "bench/test_step.py", "--engines=eager", "--batch-sizes=1"
    assert run(folder, *base, "--benchmark-save=base").code == 0
    for number, row in enumerate(rows):
        words = [word.replace("NUMBER", str(number)) for word in words_of(*row)]

        done = run(folder, *words)

        if done.code == pytest.ExitCode.USAGE_ERROR:
            assert "these options leave no case to measure" in done.output, words
        elif done.code == pytest.ExitCode.NO_TESTS_COLLECTED:
            assert " 0 selected" in done.output, words
        else:
            assert done.code == 0, f"{words}\n{done.output}"


def test_what_makes_no_sense_or_can_only_fail_at_the_end_is_refused_first(folder):
    """Such a run ends with one sentence and pytest's usage code, whatever its other options."""
    (folder / "a").write_text("in the way\n")
    more = itertools.cycle([("--full",), ("--epoch-samples=1", "--native-form=simplest"), ()])
    for value, sentence in REFUSED.items():
        done = run(folder, *next(more), *words_of(value))

        assert done.code == pytest.ExitCode.USAGE_ERROR, done.output
        assert sentence in done.output, done.output


def test_an_engine_that_cannot_train_here_is_left_out_before_anything_is_forecast(
    folder, monkeypatch
):
    """The cases of such an engine, as native on a GPU, are skipped with the reason."""
    monkeypatch.setattr(Native, "__init__", unavailable)

    done = run(folder, "bench/test_step.py", "--engines=eager,native", "--batch-sizes=1")
    uncompiled = run(folder, "bench/test_step.py", "--engines=eager,compiled", "--batch-sizes=1")
    aligned = run(folder, "bench/test_alignment.py", "--engines=eager", "-k=128/128")

    assert "1 case, about " in done.output
    assert "1 passed, 1 skipped" in done.output
    assert done.output.count("it cannot train here") == 1
    assert "1 passed, 1 skipped" in uncompiled.output
    assert "1 case skipped: it cannot train here" in uncompiled.output
    assert aligned.code == 0
    assert "1 passed" in aligned.output


@pytest.mark.parametrize("how", [{"dist": "load"}, {"workerinput": {}}])
def test_benchmarks_are_not_measured_in_parallel(how):
    """pytest-xdist's -n is refused, in the main process and in its workers."""
    options = {"benchmark_only": True, **how}
    config = SimpleNamespace(addinivalue_line=lambda *_: None, getoption=options.get, **how)

    with pytest.raises(pytest.UsageError, match="benchmarks are not measured in parallel"):
        plugin.pytest_configure(config)
