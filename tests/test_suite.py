"""pytest --benchmark-only, as its users call it."""

import functools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import __main__ as bench_main
from mnist_mlp.engines.compiled import Compiled
from mnist_mlp.engines.eager import Eager
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.engines.native import forms
from mnist_mlp.learning_rate import RULES
from tests import idx
from tests import suite as in_process

ROOT = Path(__file__).parent.parent
SIZES = (20, 900)
RATES = {size: RULES["tuned"](0.1, min(size, 600)) for size in SIZES}  # of 600 samples, at most
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
RAN = [name for name in CASES if "seed=1" not in name]  # no first seed reaches the target


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
            patch.chdir(storage.parent)  # above the storage, or pytest-benchmark fails to name it
            patch.setenv("COLUMNS", "100")
            return in_process.run(*own, *words)

    return run


@pytest.fixture(scope="module")
def fresh_suite(own, storage, tmp_path_factory):
    """Run the suite on small data in a process of its own, as its users do."""
    nvcc = tmp_path_factory.mktemp("cuda") / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.touch(mode=0o755)  # torch logs a warning where this is and no GPU
    environment = {"COLUMNS": "100", "PYTEST_ADDOPTS": "", "CUDA_HOME": str(nvcc.parent.parent)}

    def run(*words):
        words = [word.replace("bench/", f"{ROOT}/bench/") for word in words]
        common = "--benchmark-only", "-p", "no:cacheprovider", "--color=no", *own
        return subprocess.run(
            [sys.executable, "-m", "pytest", *common, *words],
            cwd=storage.parent,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def whole_run(fresh_suite, storage):
    """A run of every kind of case, saved as a baseline."""
    return fresh_suite(
        *(f"bench/test_{verb}.py" for verb in ("convergence", "epoch", "step")),
        *("--batch-sizes=20,900", "--max-epochs=2", "--seeds=0,1", "--threads=1"),
        *("--benchmark-save=base", f"--benchmark-json={storage / 'whole.json'}"),
    )


@pytest.fixture(scope="module")
def saved(whole_run, storage):
    """What the whole run saved."""
    assert whole_run.returncode == 0, whole_run.stdout
    return json.loads((storage / "whole.json").read_text())


def test_every_case_runs_under_the_name_that_baselines_know(saved):
    """File, function and id are an interface; later seeds are left out where the first misses."""
    assert [case["fullname"] for case in saved["benchmarks"]] == RAN


def test_steps_and_epochs_store_what_they_learn_from_a_fixed_seed(saved):
    """The losses of the first steps: the same for every engine, so that a change shows."""
    losses = {}
    for case in saved["benchmarks"]:
        info = case["extra_info"]
        if "losses" in info:
            losses.setdefault(info["batch_size"], []).append(info["losses"])

    assert set(losses) == {20, 900}
    for of_engines in losses.values():
        assert len(of_engines) == 8  # of two verbs and four engines
        for other in of_engines[1:]:
            assert other == pytest.approx(of_engines[0], rel=1e-3)


def test_an_epoch_can_be_short_and_native_take_its_simplest_form(suite, storage):
    """So that what the gate compares can be run by hand."""
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
    """Setting, throughput and memory are stored beside the times."""
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


def test_a_run_to_the_target_says_how_far_it_got(saved):
    """Random labels can't be learned in two epochs: not reached, and a result all the same."""
    for case in saved["benchmarks"]:
        info = case["extra_info"]
        if "seed" in case["params"]:
            assert not info["reached"]
            assert info["epochs"] == 2
            assert info["steps"] == {20: 60, 900: 2}[info["batch_size"]]
            assert 0 <= info["test_accuracy"] < info["target_accuracy"] == 0.95
            assert info["seed"] == case["params"]["seed"]
            assert [steps for _, steps, _ in info["trace"]][-1] == info["steps"]
            # pytest-benchmark's clock stands still during evaluations, as ours does.
            assert case["stats"]["median"] == pytest.approx(info["train_seconds"], rel=0.05)


def test_an_epoch_says_how_near_it_came_to_the_floor(saved):
    """The seconds of compiling are stored beside the times, not in them."""
    epochs = [case for case in saved["benchmarks"] if "floor_fraction" in case["extra_info"]]

    assert [case["name"].partition("[")[0] for case in epochs] == ["test_epoch"] * 8
    # A neighbour that slows the floor's own measurement can take the share above 1.
    assert all(case["extra_info"]["floor_fraction"] > 0 for case in epochs)
    compiling = sum(case["extra_info"]["compile_seconds"] for case in saved["benchmarks"])
    assert compiling > max(case["stats"]["median"] for case in epochs if "compiled" in case["name"])


def test_the_axes_beside_batch_size_end_in_a_sentence_each(fresh_suite):
    """Feeding, cores and alignment, on any number of samples and cores.

    Feeding forks, which JAX in this process would warn of.
    """
    axes = [f"bench/test_{name}.py" for name in ("loading", "threads", "alignment")]

    done = fresh_suite(*axes, "--engines=loader,eager", "-k", "not alignment or 127")

    assert done.returncode == 0, done.stdout
    for start in ("DataLoader alone, batches of 256:", "Cores, loader engine:", "Cores, eager"):
        assert start in done.stdout
    assert "Seconds a sample, eager engine, equal meaning within 3%: 127 to 128" in done.stdout


def test_a_saved_run_describes_the_machine(saved):
    """Versions and settings that decide how fast torch is."""
    info = saved["machine_info"]

    assert info["torch"]
    assert info["blas"]
    assert info["cpu_capability"]
    assert info["physical_memory_bytes"] > 1e8


def test_the_summary_fits_a_hundred_columns_and_says_what_was_found(whole_run):
    """A table an engine, a row a batch size, and a sentence."""
    lines = whole_run.stdout.splitlines()
    summary = lines[next(i for i, line in enumerate(lines) if line.startswith("loader engine")) :]

    assert all(len(line) <= 100 for line in summary)
    assert sum(bool(re.match(r"│ +(20|900) │", line)) for line in summary) == 12
    assert "no batch size reached test accuracy 0.95 within 2 epochs" in " ".join(summary)
    assert "not reached (0." in whole_run.stdout
    assert whole_run.stdout.count("0 of 1, 1 left out") == 4
    assert "4 skipped" in whole_run.stdout
    assert "4 cases skipped: the first seed missed the target clearly" in whole_run.stdout


def test_how_long_the_run_will_take_is_printed_before_the_first_case(whole_run):
    """In seconds or minutes."""
    before = whole_run.stdout.partition("[  1/24")[0]

    assert re.search(r"^24 cases, about \d+ (s|min)$", before, flags=re.MULTILINE)


def test_the_forms_of_the_native_engine_are_stored_and_printed_with_v(suite):
    """So that it can be seen which were the fastest here."""
    done = suite("-v", "bench/test_epoch.py", "--batch-sizes=20", "--engines=native,eager")

    assert done.code == 0, done.output
    assert re.search(r"native engine, form of an epoch: .* \d threads? at 20\.", done.output)


def test_without_a_terminal_each_case_is_a_plain_line(whole_run):
    """That says how far the run is, before the case starts."""
    lines = re.findall(r"^\[ *(\d+)/24 \d+:\d\d\] (\S+)$", whole_run.stdout, flags=re.MULTILINE)

    assert lines == [(str(number), name) for number, name in enumerate(CASES, start=1)]


@pytest.fixture(scope="module")
def compare(suite, whole_run, storage):
    """Compare step cases of the eager engine with the baseline."""
    assert whole_run.returncode == 0
    (baseline,) = storage.glob("*/0001_base.json")  # as if it came from another machine
    baseline.write_text(baseline.read_text().replace('"node": "', '"node": "not-'))
    return functools.partial(
        suite, "bench/test_step.py", "--engines=eager", "--threads=1", "--benchmark-compare"
    )


def test_an_unslowed_step_is_listed_and_cases_left_out_are_named(compare):
    """Beside its baseline; those that the baseline lacks, and those that the run lacks."""
    done = compare("--batch-sizes=20,16", "--benchmark-compare-fail=min:600%")
    output = done.output

    assert done.code == 0
    assert re.search(r"test_step\[engine=eager-batch_size=20\] \(NOW\)", output)
    assert re.search(r"test_step\[engine=eager-batch_size=20\] \(0001_base\)", output)
    lacking = re.findall(r"^not in this run, but in [^ ]+'s: (\S+)$", output, re.MULTILINE)
    assert sorted(lacking) == sorted(
        set(RAN) - {"bench/test_step.py::test_step[engine=eager-batch_size=20]"}
    )
    new = re.findall(r"^not in the baseline of \S+: (\S+)$", output, re.MULTILINE)
    assert new == ["bench/test_step.py::test_step[engine=eager-batch_size=16]"]


def test_a_slowed_step_is_caught(compare, monkeypatch):
    """By pytest-benchmark's own comparison; the summary is printed all the same."""
    quick_step = Eager.step

    def slow_step(self, images, labels):
        time.sleep(0.02)  # far more than a step of twenty samples takes on any machine
        return quick_step(self, images, labels)

    monkeypatch.setattr(Eager, "step", slow_step)
    done = compare("--batch-sizes=20", "--benchmark-compare-fail=min:10%")

    assert done.code != 0
    assert "Performance has regressed" in done.output
    assert "eager engine, KMNIST" in done.output


def test_torch_does_not_write_into_the_output(whole_run):
    """It would log that there is nvcc and no GPU as soon as something is compiled."""
    assert "CUDA" not in whole_run.stdout + whole_run.stderr


def test_saved_runs_can_be_compared_afterwards(storage, whole_run):
    """With pytest-benchmark's own command."""
    assert whole_run.returncode == 0
    done = subprocess.run(
        [
            Path(sys.executable).with_name("pytest-benchmark"),
            f"--storage={storage.as_uri()}",
            "compare",
            "0001",
            "--columns=min",
        ],
        cwd=storage,  # in the checkout it would import torch
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0
    assert "test_epoch[engine=loader-batch_size=20]" in done.stdout


def test_saved_runs_can_be_judged_by_the_gate(storage, saved, capsys):
    """One run a side is too few for a verdict; a training that missed its target has no time."""
    again = storage / "again.json"
    again.write_text(json.dumps(saved | {"datetime": "2026-01-01T00:00:00"}))
    words = ["gate", "--saved", str(storage / "whole.json"), "--against", str(again)]

    code = bench_main.main(words)

    printed = capsys.readouterr().out
    assert code == 4
    assert "too few runs: 1 and 1, and 7 a side are needed: bench/test_epoch.py" in printed
    assert "target not reached in 1 of 1 base runs and 1 of 1 head runs" in printed


def test_without_a_compiler_the_cases_that_need_one_are_skipped(suite, monkeypatch):
    """With the reason; the other engines' cases run."""

    def prepare(*_):
        raise UnavailableError("there is no compiler")

    monkeypatch.setattr(Compiled, "prepare", prepare)
    done = suite("bench/test_step.py", "--batch-sizes=20", "--engines=eager,compiled")

    assert done.code == 0, done.output
    assert "1 passed, 1 skipped" in done.output
    assert "1 case skipped: there is no compiler" in done.output
