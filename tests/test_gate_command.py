"""python -m bench gate in a git checkout, as its users call it."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests import toy

WAIT = "test_toy.py::test_wait"
WAIT_1, WAIT_16 = f"{WAIT}[size=1]", f"{WAIT}[size=16]"


@pytest.fixture
def checkout(tmp_path):
    """A toy checkout with one commit."""
    return toy.write_checkout(tmp_path / "checkout")


def start(checkout, *words, path=None, cwd=None):
    """A gate that runs, with a temporary folder of its own."""
    temporary = checkout.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": str(toy.ROOT),
        "TMPDIR": str(temporary),
        "GIT_CEILING_DIRECTORIES": str(checkout.parent),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "gate", *words],
        cwd=cwd or checkout,
        env=environment | ({"PATH": path} if path else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def gate(checkout, *words, **kwargs):
    """A gate that has ended and left nothing behind: exit code, output, errors."""
    process = start(checkout, *words, **kwargs)
    output, errors = process.communicate(timeout=120)
    assert_nothing_is_left(checkout)
    return process.returncode, output, errors


def assert_nothing_is_left(checkout):
    """No temporary file, no worktree beside the checkout, no worker."""
    assert not list((checkout.parent / "temporary").iterdir())
    if (checkout / ".git").exists():
        assert len(toy.git(checkout, "worktree", "list").splitlines()) == 1
    deadline = time.monotonic() + 10
    while has_workers(checkout):
        assert time.monotonic() < deadline, "a worker goes on"
        time.sleep(0.05)


def has_workers(checkout):
    """Whether a process of a gate on this checkout runs."""
    temporary = str(checkout.parent / "temporary")
    return any(
        "gate_worker" in " ".join(process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("TMPDIR") == temporary
        for process in psutil.process_iter(["cmdline", "environ"])
    )


def test_an_unchanged_checkout_passes_and_everything_is_written_down(checkout):
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


def test_the_working_tree_is_the_head_committed_or_not(checkout):
    """What it makes worse is a regression, and fails."""
    toy.change(checkout, "PEAK_BYTES", 1 << 26)

    code, output, errors = gate(checkout, "--base=main")

    assert code == 1, output + errors
    assert f"Regression: {WAIT_1}, {WAIT_16}." in output
    assert "the working tree, changed in 1 file, with main (" in output


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["ctrl_c", "cancelled", "hung_up"]
)
def test_an_interrupted_gate_leaves_nothing_behind(checkout, number):
    """No worktree, no worker, no half-written file; its own exit code."""
    process = start(checkout, "--base=main", "--json=gate.json")
    while "pair 2" not in process.stderr.readline():
        assert process.poll() is None

    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted"
    assert not (checkout / "gate.json").exists()
    assert_nothing_is_left(checkout)


def test_without_git_the_gate_says_so(checkout, tmp_path):
    """In place of a traceback."""
    code, _, errors = gate(checkout, "--base=main", path=str(tmp_path / "empty"))

    assert code == 2
    assert "git is needed and cannot be run" in errors


def test_outside_a_repository_the_gate_says_so(tmp_path):
    """Git's own words name the reason."""
    code, _, errors = gate(toy.write_tree(tmp_path / "checkout"), "--base=main")

    assert code == 2
    assert "not a git repository" in errors


def test_two_environments_can_be_compared_on_one_tree(checkout):
    """Where no base is named, both run the checkout, each in its own Python."""
    code, output, errors = gate(checkout, f"--base-python={sys.executable}")

    assert code == 0, output + errors
    assert "with itself" in output


def test_a_folder_of_another_repository_can_be_compared(checkout, tmp_path):
    """With pytest's arguments for the cases; its own default arguments stay its own."""
    inner = toy.write_tree(checkout / "inner")
    (inner / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    toy.commit(checkout)
    words = ("--base=main", f"--tree={inner}", "--", "test_toy.py::test_wait[size=1]")

    process = start(checkout, *words, cwd=tmp_path)
    output, errors = process.communicate(timeout=120)

    assert process.returncode == 0, output + errors
    assert "test_wait[size=1]" in output
    assert "size=16" not in output


def test_default_arguments_that_are_no_list_are_refused(checkout):
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
