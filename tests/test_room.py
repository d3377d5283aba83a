"""What needs more memory than is free is refused, tried in a fresh process, or named."""

import json
import re
import signal
import time

import pytest

from bench.suite import room
from mnist_mlp import command as training
from mnist_mlp import memory
from mnist_mlp.memory import NotEnoughMemoryError
from tests import cgroup, idx, suite

SAMPLES = 5_000  # more than the largest probe
MEGABYTES = 1_000  # enough for the suite to start
MEGABYTES_OF_SERVER = 1_500  # enough for the server of processes, too
FILE_PAGES = {  # part of memory.stat, by version of control groups
    1: "total_inactive_file 60\ntotal_active_file 40\n",
    2: "inactive_file 60\nactive_file 40\n",
}
CASES = ("bench/test_step.py", "--engines=loader", "--batch-sizes=16,60000", "--threads=1")


def test_a_larger_batch_is_predicted_by_a_line():
    """Memory is predicted by the line through the two largest probes."""
    peaks = {512: 9_000, 1024: 2_000, 2048: 3_000}

    assert memory.predicted_bytes(peaks, 4096) == 5_000
    assert memory.predicted_bytes({1024: 3_000, 2048: 2_000}, 10_000) == 2_000
    assert memory.predicted_bytes({512: 1_000}, 5_120) == 10_000
    assert memory.predicted_bytes({}, 5_120) == 0


def test_what_needs_too_much_is_refused_with_what_is_free(monkeypatch):
    """The error says what to do; nothing is refused where free memory is unknown, as on macOS."""
    monkeypatch.setattr(memory, "free_bytes", lambda: 12_000_000)
    memory.require(12e6, "it", instead="less")

    with pytest.raises(
        NotEnoughMemoryError,
        match="it needs about 34 MB more memory, and 12 MB are free here: less",
    ):
        memory.require(34e6, "it", instead="less")
    monkeypatch.setattr(memory, "free_bytes", lambda: None)
    memory.require(1e18, "it", instead="less")


@pytest.mark.parametrize(
    ("version", "group", "files"),
    [
        (1, "cpu,memory:/a/b", {"memory/a": (900, 400, FILE_PAGES[1])}),
        (2, ":/a/b", {"a": (900, 400, FILE_PAGES[2]), "a/b": ("max", 1, "")}),
    ],
)
def test_the_tightest_control_group_counts(monkeypatch, tmp_path, version, group, files):
    """Free memory is the group's limit less the memory that cannot be reclaimed."""
    limit, usage = memory.CGROUP_FILES[version]
    for folder, contents in files.items():
        (tmp_path / folder).mkdir(parents=True)
        for name, content in zip((limit, usage, "memory.stat"), contents, strict=True):
            (tmp_path / folder / name).write_text(str(content))
    read = memory._read  # noqa: SLF001
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(
        memory,
        "_read",
        lambda file: f"4:{group}\n" if str(file) == "/proc/self/cgroup" else read(file),
    )

    assert memory.free_bytes() == 600


def test_a_call_is_tried_apart_and_its_end_is_named():
    """The fate of a call in a fresh process is to return, raise, be killed, or never end."""
    assert room.fate(abs, 1) == ""
    assert room.fate(divmod, 1, 0) == "a trial in a fresh process failed"
    assert room.fate(signal.raise_signal, signal.SIGKILL) == (
        "a trial in a fresh process was killed (SIGKILL)"
    )
    assert room.fate(time.sleep, 60, patience_seconds=0.1) == (
        "a trial in a fresh process did not end within 0.1 s"
    )


def test_a_case_that_is_forced_is_tried_first(monkeypatch, tmp_path):
    """With --force, a fresh process first trains on one batch of the same data."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=SAMPLES, test=20)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "predicted_bytes", lambda *_: 1e15)
    words = *CASES[:2], f"--data-root={tmp_path}", f"--batch-sizes={SAMPLES}"

    refused, forced = suite.run(*words), suite.run(*words, "--force")

    assert "1 skipped" in refused.output
    assert f"batch size {SAMPLES} with the loader engine needs about" in refused.output
    assert forced.code == 0, forced.output
    assert "1 passed" in forced.output


def test_the_trainer_refuses_a_batch_that_does_not_fit(monkeypatch, tmp_path, capsys):
    """The trainer refuses a batch that does not fit; --force trains all the same."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=SAMPLES, test=20)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "free_bytes", lambda: 90_000_000)
    words = [f"--data-root={tmp_path}", f"--batch-size={SAMPLES}", "--epochs=1"]
    predicted = memory.predicted_bytes
    monkeypatch.setattr(memory, "predicted_bytes", lambda *words: 1e9 + predicted(*words))

    assert training.main(words) == 1
    assert re.search(
        rf"error: batch size {SAMPLES} with the eager engine needs about 1,\d+ MB more memory, and "
        r"90 MB are free here: choose a smaller --batch-size, close other programs, or add --fo",
        capsys.readouterr().err,
    )
    assert not (tmp_path / "checkpoints").exists()
    assert training.main([*words, "--force"]) == 0


def in_cgroup(cache_dir, folder, *more):
    """Run the suite in a real control group, in which the small case always fits."""
    saved = folder / "run.json"
    done = cgroup.run(
        MEGABYTES,
        *("-m", "pytest", *suite.arguments(*CASES), *more, "-rs"),
        *(f"--cache-dir={cache_dir}", f"--benchmark-json={saved}"),
        cwd=folder,
    )
    cases = json.loads(saved.read_text())["benchmarks"]
    assert [case["params"]["batch_size"] for case in cases] == [16], done.stdout
    return done


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_a_case_that_does_not_fit_is_skipped_in_a_real_control_group(cache_dir, tmp_path):
    """A case that needs more memory than is free is skipped, and the others run."""
    done = in_cgroup(cache_dir, tmp_path)

    assert done.returncode == 0, done.stdout
    assert re.search(
        r"batch size 60000 with the loader engine needs about \d+ MB more memory, and \d+ MB are",
        done.stdout,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_a_case_that_is_forced_and_killed_is_named_in_a_real_control_group(cache_dir, tmp_path):
    """A forced case that is killed is named with the signal, and the others run."""
    done = in_cgroup(cache_dir, tmp_path, "--force")

    assert done.returncode == 1
    assert "memory ran out (SIGKILL), and batch size 60000 with the loader engine" in done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_a_measuring_process_that_is_killed_for_memory_is_named(cache_dir, tmp_path):
    """With --force, sweet-spot starts although memory is short, and says what was killed."""
    words = "-m", "bench", "sweet-spot", f"--cache-dir={cache_dir}"
    (tmp_path / "bench").symlink_to(suite.ROOT / "bench")

    refused = cgroup.run(MEGABYTES_OF_SERVER, *words, cwd=tmp_path)
    forced = cgroup.run(MEGABYTES_OF_SERVER, *words, "--force", cwd=tmp_path)

    assert "measuring in 3 processes beside this one needs about" in refused.stdout
    assert refused.returncode == forced.returncode == 1
    assert "the system killed a measuring process, since memory ran out" in forced.stdout
