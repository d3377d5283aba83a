"""pytest --benchmark-only, as its users run it."""

import functools
import json
import os
import pty
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bench import __main__ as bench_main
from bench import cases as cases_of_a_run
from bench.suite.workbench import Workbench
from mnist_mlp import convergence
from mnist_mlp.engines.eager import Eager
from mnist_mlp.engines.native import forms
from mnist_mlp.learning_rate import RULES
from tests import idx, own_task
from tests import suite as in_process

SIZES = (20, 900)
RATES = {size: RULES["tuned"](0.1, min(size, 600)) for size in SIZES}  # the data has 600 samples
CASES = [
    *(
        "bench/test_convergence.py::test_convergence"
        f"[engine=native-batch_size={size}-lr_rule={rule}-seed={seed}]"
        for size in SIZES
        for rule in ("fixed", "tuned")
        for seed in (0, 1)
    ),
    *(
        f"bench/test_{verb}.py::test_{verb}[engine={engine}-batch_size={size}]"
        for verb in ("epoch", "step")
        for engine in ("loader", "eager", "compiled", "native")
        for size in SIZES
    ),
]
RAN = [name for name in CASES if "seed=1" not in name]  # seed 0 misses the target


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    """A data set of 600 random images in torchvision's layout."""
    folder = tmp_path_factory.mktemp("data")
    idx.write_dataset(folder / "KMNIST" / "raw", train=600, test=200)
    return folder


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """Where this module's runs are saved."""
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def own(small_data, storage):
    """Options of every run: small data, and where runs are saved."""
    return f"--data-root={small_data}", f"--benchmark-storage={storage.as_uri()}"


@pytest.fixture(scope="module")
def suite(own, storage):
    """Run the suite on small data, in this process."""

    def run(*words):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(storage.parent)  # pytest-benchmark names storages below this folder only
            patch.setenv("COLUMNS", "100")
            return in_process.run(*own, *words)

    return run


@pytest.fixture(scope="module")
def whole_run(suite, storage):
    """A run of every kind of case, saved as a baseline."""
    return suite(
        *(f"bench/test_{verb}.py" for verb in ("convergence", "epoch", "step")),
        *("--batch-sizes=20,900", "--max-epochs=2", "--seeds=0,1", "--threads=1"),
        *("--benchmark-save=base", f"--benchmark-json={storage / 'whole.json'}"),
    )


@pytest.fixture(scope="module")
def saved(whole_run, storage):
    """What the whole run saved."""
    assert whole_run.code == 0, whole_run.output
    return json.loads((storage / "whole.json").read_text())


def test_every_case_runs_under_the_name_that_baselines_know(saved):
    """File, function and id are an interface; a later seed is left out if the first misses."""
    assert [case["fullname"] for case in saved["benchmarks"]] == RAN


def test_steps_and_epochs_store_what_they_learn_from_a_fixed_seed(saved):
    """The losses of first steps are stored, and equal for all engines, so a change shows."""
    losses = {}
    for case in saved["benchmarks"]:
        info = case["extra_info"]
        if "losses" in info:
            losses.setdefault(info["batch_size"], []).append(info["losses"])

    assert set(losses) == {20, 900}
    for of_engines in losses.values():
        assert len(of_engines) == 8  # 2 verbs, 4 engines
        for of_engine in of_engines[1:]:
            assert of_engine == pytest.approx(of_engines[0], rel=1e-3)


def test_an_epoch_can_be_short_and_native_take_its_simplest_form(suite, storage):
    """The cases that the gate compares can be run by hand."""
    file = storage / "short.json"

    ended = suite(
        *("bench/test_epoch.py", "--engines=native", "--batch-sizes=20", "--epoch-samples=50"),
        *("--native-form=simplest", f"--benchmark-json={file}"),
    )

    assert ended.code == 0, ended.output
    (case,) = json.loads(file.read_text())["benchmarks"]
    info = case["extra_info"]
    assert info["samples_per_second"] * case["stats"]["median"] == pytest.approx(50)
    assert info["form"] == forms.simplest().name
    assert case["group"] == "native"


def test_every_case_says_what_it_measured(saved):
    """Every case stores its setting, throughput and memory with its times."""
    for case in saved["benchmarks"]:
        info = case["extra_info"]
        assert info["batch_size"] == case["params"]["batch_size"]
        assert info["engine"] == case["params"]["engine"]
        assert info["device"] == "cpu"
        assert info["data"] == "KMNIST"
        assert info["learning_rate"] == (
            0.1 if info.get("lr_rule") != "tuned" else RATES[info["batch_size"]]
        )
        assert info["compile_seconds"] >= 0
        assert info["threads"] == saved["machine_info"]["threads"] == 1
        assert info["samples_per_second"] > 0
        assert info["peak_memory_bytes"] >= 0
        assert info["peak_memory_method"] in {"VmHWM", "sampled"}
        assert info["rss_bytes"] > 1e7
    machine = saved["machine_info"]
    assert all(machine[key] for key in ("torch", "blas", "cpu_capability"))
    assert machine["physical_memory_bytes"] > 1e8


def test_a_run_to_the_target_says_how_far_it_got(saved):
    """Random labels can't be learned in two epochs: a run that misses the target is a result."""
    for case in saved["benchmarks"]:
        info = case["extra_info"]
        if "seed" in case["params"]:
            assert not info["reached"]
            assert info["epochs"] == 2
            assert info["steps"] == {20: 60, 900: 2}[info["batch_size"]]
            assert 0 <= info["test_score"] < info["target_score"] == 0.95
            assert info["seed"] == case["params"]["seed"]
            assert [steps for _, steps, _ in info["trace"]][-1] == info["steps"]


def test_pytest_benchmarks_clock_stands_still_during_evaluations(suite, storage, monkeypatch):
    """The time to target contains no evaluations, whether by our clock or pytest-benchmark's."""
    quick = convergence.evaluate

    def slow(*arguments):
        time.sleep(0.2)
        return quick(*arguments)

    monkeypatch.setattr(convergence, "evaluate", slow)
    file = storage / "slow.json"
    done = suite(
        *("bench/test_convergence.py", "--engines=eager", "--batch-sizes=600", "--max-epochs=5"),
        *("--lr-rules=fixed", "--seeds=0", f"--benchmark-json={file}"),
    )

    assert done.code == 0, done.output
    (case,) = json.loads(file.read_text())["benchmarks"]
    info = case["extra_info"]
    assert info["train_seconds"] <= case["stats"]["median"] < 0.2 * len(info["trace"])


def test_an_epoch_says_how_near_it_came_to_the_floor(saved):
    """An epoch stores its share of the floor, and seconds of compiling apart from its times."""
    epochs = [case for case in saved["benchmarks"] if "floor_fraction" in case["extra_info"]]

    assert [case["name"].partition("[")[0] for case in epochs] == ["test_epoch"] * 8
    # Another process that slows the measurement of the floor can take the share above 1.
    assert all(case["extra_info"]["floor_fraction"] > 0 for case in epochs)
    compiling = sum(case["extra_info"]["compile_seconds"] for case in saved["benchmarks"])
    assert compiling > max(case["stats"]["median"] for case in epochs if "compiled" in case["name"])


def test_the_axes_beside_batch_size_are_measured_on_any_number_of_samples_and_cores(
    suite, storage, monkeypatch
):
    """Loading, feeding, threads and alignment run on few samples and cores."""
    monkeypatch.setattr(cases_of_a_run, "ALIGNMENT_PROCESSES", 2)
    monkeypatch.setattr(cases_of_a_run, "ALIGNMENT_SECONDS", 0.1)
    axes = [f"bench/test_{name}.py" for name in ("loading", "threads", "alignment")]
    file = storage / "axes.json"

    done = suite(
        *(*axes, "--engines=loader,eager", "-k", "not alignment or 127"),
        f"--benchmark-json={file}",
    )

    assert done.code == 0, done.output
    cases = json.loads(file.read_text())["benchmarks"]
    measured = {case["name"]: case["extra_info"] for case in cases}
    assert {info["workers"] for name, info in measured.items() if "loading" in name} == {0, 1, 2}
    assert {name.partition("[")[0] for name in measured} == {
        *("test_loading", "test_threads", "test_feeding", "test_alignment")
    }
    (aligned,) = (info for name, info in measured.items() if "alignment" in name)
    assert (aligned["batch_size"], aligned["beside"]) == (127, 128)
    assert 0 < aligned["low"] <= aligned["ratio"] <= aligned["high"]


def test_the_summary_fits_a_hundred_columns_and_says_what_was_found(whole_run):
    """The summary has a table per engine, a row per batch size, and sentences."""
    lines = whole_run.output.splitlines()
    summary = lines[next(i for i, line in enumerate(lines) if " engine: " in line) :]

    assert all(len(line) <= 100 for line in summary)
    assert sum(bool(re.match(r" +(20|900) +[0-9.]", line)) for line in summary) == 8
    assert "not reached (0." in whole_run.output
    assert "4 skipped" in whole_run.output
    assert "4 cases skipped: the first seed missed the target by far" in whole_run.output
    assert "--full adds" not in whole_run.output


def test_a_run_says_how_long_it_will_take_and_how_far_it_is(whole_run):
    """A run's output has a forecast first, and a plain line before each case."""
    before = whole_run.output.partition("[  1/24")[0]
    lines = re.findall(r"^\[ *(\d+)/24 \d+:\d\d\] (\S+)$", whole_run.output, flags=re.MULTILINE)

    assert re.search(r"^24 cases, about \d+ (s|min)$", before, flags=re.MULTILINE)
    assert lines == [(str(number), name) for number, name in enumerate(CASES, start=1)]


@pytest.fixture(scope="module")
def compare(suite, whole_run, storage):
    """Compare step cases of the eager engine with the baseline."""
    assert whole_run.code == 0
    (baseline,) = storage.glob("*/0001_base.json")  # renamed as if from another machine
    baseline.write_text(baseline.read_text().replace('"node": "', '"node": "not-'))
    return functools.partial(
        suite, "bench/test_step.py", "--engines=eager", "--threads=1", "--benchmark-compare"
    )


def test_an_unslowed_step_is_listed_and_cases_left_out_are_named(compare):
    """A case is listed beside its baseline; a case that one side lacks is named."""
    done = compare("--batch-sizes=20,16", "--benchmark-compare-fail=min:600%")
    output = done.output

    assert done.code == 0
    assert re.search(r"test_step\[engine=eager-batch_size=20\] \(NOW\)", output)
    assert re.search(r"test_step\[engine=eager-batch_size=20\] \(0001_base\)", output)
    lacking = re.findall(r"^only in the baseline of \S+: (\S+)$", output, re.MULTILINE)
    assert sorted(lacking) == sorted(
        set(RAN) - {"bench/test_step.py::test_step[engine=eager-batch_size=20]"}
    )
    new = re.findall(r"^not in the baseline of \S+: (\S+)$", output, re.MULTILINE)
    assert new == ["bench/test_step.py::test_step[engine=eager-batch_size=16]"]


@pytest.fixture
def slowed(compare, monkeypatch):
    """Compare steps that take 20 ms longer than those of the baseline."""
    quick_step = Eager.step

    def slow_step(self, images, labels):
        time.sleep(0.02)
        return quick_step(self, images, labels)

    monkeypatch.setattr(Eager, "step", slow_step)
    return lambda: compare("--batch-sizes=20", "--benchmark-compare-fail=min:10%")


def test_a_slowed_step_is_caught_even_where_a_case_cannot_be_read(slowed, monkeypatch):
    """pytest-benchmark's own comparison fails, and the summary is printed all the same."""
    done = slowed()

    assert done.code != 0
    assert "Performance has regressed" in done.output
    assert "eager engine: KMNIST" in done.output

    monkeypatch.setattr(
        Workbench, "record", lambda _, case, *__, **___: case.extra_info.update(engine="eager")
    )
    done = slowed()

    assert "Performance has regressed" in done.output
    name = "test_step[engine=eager-batch_size=20]"
    assert f"left out of the tables: {name} has no batch_size" in done.output


def test_saved_runs_can_be_compared_afterwards(storage, whole_run):
    """pytest-benchmark's own command compares saved runs."""
    assert whole_run.code == 0
    done = subprocess.run(
        [
            Path(sys.executable).with_name("pytest-benchmark"),
            f"--storage={storage.as_uri()}",
            "compare",
            "0001",
            "--columns=min",
        ],
        cwd=storage,  # the checkout's conftest would import torch
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0
    assert "test_epoch[engine=loader-batch_size=20]" in done.stdout


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Run the suite on a task with a score of its own, which cannot train on one sample."""
    file, text = tmp_path / "mine.py", Path(own_task.__file__).read_text()
    text = text.replace("nn.ReLU()", "nn.BatchNorm1d(8)")
    score = "target=-0.1, score=lambda outputs, targets: -cross_entropy(outputs, targets)"
    file.write_text(text.replace("target=0.95", score))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    words = f"--task={file}", f"--benchmark-storage={(tmp_path / 'storage').as_uri()}"
    return lambda *more: in_process.run(*words, *more)


def test_a_task_of_ones_own_is_measured_saved_and_reported(mine, tmp_path):
    """Cases and report have the task's name, score and rate; what cannot train is skipped."""
    verbs = [f"bench/test_{verb}.py" for verb in ("step", "epoch", "convergence")]
    run, page = tmp_path / "run.json", tmp_path / "page.html"

    done = mine(
        *(*verbs, "--engines=loader,eager,native", "--batch-sizes=1,16", "--max-epochs=2"),
        *("--seeds=0", "--threads=1", f"--benchmark-json={run}"),
    )

    assert done.code == 0, done.output
    output = " ".join(done.output.split())
    assert "8 passed, 16 skipped" in output
    assert "eager engine: mine, cpu, 1 thread; time to test score -0.1" in output
    assert "8 cases skipped: mine cannot be trained at batch size 1: a batch of 1 raises" in output
    assert output.count("the native engine trains only the MNIST network") == 1
    for case in json.loads(run.read_text())["benchmarks"]:
        info = case["extra_info"]
        assert (info["data"], info["batch_size"]) == ("mine", 16)
        if "seed" in info:
            factor = 2**0.5 if info["lr_rule"] == "sqrt" else 1
            assert info["learning_rate"] == pytest.approx(0.01 * factor)
            assert info["target_score"] == -0.1
            assert info["test_score"] < 0
    assert bench_main.main(["report", str(run), "-o", str(page)]) == 0
    assert "test score -0.1" in page.read_text()


def test_a_run_on_a_task_is_not_resumed_after_its_file_has_changed(mine, tmp_path):
    """A changed task file is not resumed; the target of a task's own score stands in the file."""
    words = "bench/test_step.py", "--engines=eager", "--batch-sizes=16"
    journal = tmp_path / "run.jsonl"
    assert mine(*words, f"--journal={journal}").code == 0
    with (tmp_path / "mine.py").open("a") as file:
        file.write("task.train.inputs[0] = 0\n")

    resumed = mine(*words, f"--resume={journal}")
    other_target = mine(*words, "--target-accuracy=0.9")

    assert resumed.code == pytest.ExitCode.USAGE_ERROR
    assert "differs in the code of" in resumed.output
    assert "mine.py" in resumed.output
    assert other_target.code == pytest.ExitCode.USAGE_ERROR
    assert "set the target in the task" in other_target.output


def test_a_loss_that_is_not_finite_leaves_steps_and_epochs_out(suite):
    """Steps and epochs whose loss is not finite are left out: their times mean nothing."""
    done = suite(
        *("bench/test_step.py", "bench/test_epoch.py", "--engines=eager", "--batch-sizes=20"),
        "--lr=1e38",
    )

    assert done.code == 0, done.output
    assert "2 skipped" in done.output
    assert "is not finite at learning rate 1e+38" in done.output


def test_on_a_terminal_one_live_line_shows_case_and_count(own):
    """A live line shows the case, the count, and the progress of the training."""
    main, terminal = pty.openpty()
    words = "--batch-sizes=8", "--engines=eager", "--lr-rules=fixed", "--seeds=0", "--max-epochs=1"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest"),
            *in_process.arguments(*own, *words, "bench/test_convergence.py"),
        ],
        cwd=in_process.ROOT,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"COLUMNS": "150", "PYTEST_ADDOPTS": "", "TERM": "xterm"},
    )
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # a terminal without a writer
        while chunk := os.read(main, 65536):
            shown += chunk
    text = shown.decode()

    assert process.wait() == 0
    assert "0/1" in text
    assert re.search(r"test_convergence\[\S+\]: epoch 1\.00 of 1, test accuracy 0\.\d+", text)
