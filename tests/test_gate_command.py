"""python -m bench gate in a git checkout, as its users call it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import psutil
import pytest

from bench import __main__ as bench_main
from bench.gate import turns
from tests import toy

WAIT = "test_toy.py::test_wait"
WAIT_1, WAIT_16 = f"{WAIT}[size=1]", f"{WAIT}[size=16]"


@pytest.fixture
def checkout(tmp_path):
    """A toy checkout with one commit."""
    return toy.write_checkout(tmp_path / "checkout")


@pytest.fixture
def gate(tmp_path, monkeypatch, capfd):
    """Run a gate in a folder; give its exit code, output and errors, and leave nothing behind."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # as it was before TMPDIR was read
    monkeypatch.setattr(turns, "CASE_SECONDS", 0.02)
    monkeypatch.setattr(turns, "FEWEST_TURNS", 5)

    def gate(folder, *words):
        monkeypatch.chdir(folder)
        code = bench_main.main(["gate", *words])
        assert_nothing_is_left(tmp_path)
        return code, *capfd.readouterr()

    return gate


def assert_nothing_is_left(folder):
    """No temporary file, no worktree beside the checkout, no worker."""
    assert not list((folder / "temporary").iterdir())
    if (folder / "checkout" / ".git").exists():
        assert len(toy.git(folder / "checkout", "worktree", "list").splitlines()) == 1
    deadline = time.monotonic() + 10
    while has_workers(folder / "temporary"):
        assert time.monotonic() < deadline, "a worker goes on"
        time.sleep(0.05)


def has_workers(temporary):
    """Whether a process of a gate with this temporary folder runs."""
    return any(
        "gate_worker" in " ".join(process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("TMPDIR") == str(temporary)
        for process in psutil.process_iter(["cmdline", "environ"])
    )


def test_an_unchanged_checkout_passes_and_everything_is_written_down(checkout, gate):
    """The table, the JSON and the markdown name every case and family."""
    code, output, errors = gate(checkout, "--base=main", "--json=gate.json", "--markdown=gate.md")

    assert code == 0, output + errors
    found = json.loads((checkout / "gate.json").read_text())
    assert set(found["judgements"]) == {WAIT_1, WAIT_16, WAIT}
    assert found["exit_code"] == 0
    assert found["setting"]["threads"] == 1
    rows = [line for line in (checkout / "gate.md").read_text().splitlines() if line[:1] == "|"]
    assert len(rows) == 2 + len(found["judgements"])
    for name in ("test_wait[size=1]", "test_wait[size=16]", "test_wait, all"):
        assert name in output
        assert any(name in row for row in rows)
    assert "No case was found slower than the base by more than 5%" in output
    assert "the checkout with main (" in output
    assert all(len(line) <= 120 for line in output.splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "cancelled"])
def test_an_interrupted_gate_leaves_nothing_behind(checkout, number):
    """No worktree, no worker, no half-written file; its own exit code."""
    temporary = checkout.parent / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "gate", "--base=main", "--json=gate.json"],
        cwd=checkout,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(toy.ROOT / "src"), str(toy.ROOT)]),
            "TMPDIR": str(temporary),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    while "pair 2" not in process.stderr.readline():
        assert process.poll() is None

    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted"
    assert not (checkout / "gate.json").exists()
    assert_nothing_is_left(checkout.parent)


def test_without_git_the_gate_says_so(checkout, capfd, monkeypatch):
    """In place of a traceback."""
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PATH", str(checkout / "empty"))

    code = bench_main.main(["gate", "--base=main"])

    assert code == 2
    assert "git is needed and cannot be run" in capfd.readouterr().err


def test_outside_a_repository_the_gate_says_so(tmp_path, gate):
    """Git's own words name the reason."""
    code, _, errors = gate(toy.write_tree(tmp_path / "checkout"), "--base=main")

    assert code == 2
    assert "not a git repository" in errors


def test_two_environments_compare_one_folder_of_a_repository(checkout, tmp_path, gate):
    """Where no base is named, both run the head, each in its own Python; arguments choose cases."""
    inner = toy.write_tree(checkout / "inner")
    (inner / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    toy.commit(checkout)
    words = (f"--base-python={sys.executable}", f"--tree={inner}", "--", WAIT_1)

    code, output, errors = gate(tmp_path, *words)

    assert code == 0, output + errors
    assert "with itself" in output
    assert "test_wait[size=1]" in output
    assert "size=16" not in output


def test_the_working_tree_is_the_head_committed_or_not(checkout, tmp_path, gate):
    """Any folder of it is compared with the same folder of the base, from anywhere."""
    inner = toy.write_tree(checkout / "inner")
    toy.commit(checkout)
    toy.change(inner, "PEAK_BYTES", 1 << 26)

    code, output, errors = gate(tmp_path, "--base=main", f"--tree={inner}")

    assert code == 1, output + errors
    assert f"Regression: {WAIT_1}, {WAIT_16}." in output
    assert "the working tree, changed in 1 file, with main (" in output


def test_default_arguments_that_are_no_list_are_refused(checkout, gate):
    """Before anything is measured."""
    (checkout / "pyproject.toml").write_text("[tool.gate]\narguments = 'test_toy.py'\n")

    code, _, errors = gate(checkout, "--base=main")

    assert code == 2
    assert "[tool.gate] arguments is a list" in errors


def test_the_gates_own_environment_needs_neither_pytest_nor_torch():
    """In another repository it has psutil, pydantic, rich and scipy alone."""
    absent = "{'pytest', 'torch', 'numba'}"
    code = f"import sys, bench.gate.command; sys.exit(bool({absent} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True)
