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

STEP_1 = "step[engine=eager-batch_size=1]"


@pytest.fixture
def checkout(tmp_path):
    """A toy checkout with one commit."""
    return toy.write_checkout(tmp_path / "checkout")


def start(checkout, *words, path=None):
    """A gate that runs, with a temporary folder of its own."""
    temporary = checkout.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": f"{checkout}/src{os.pathsep}{checkout}",
        "TMPDIR": str(temporary),
        "GIT_CEILING_DIRECTORIES": str(checkout.parent),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "gate", *words],
        cwd=checkout,
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
        "bench.gate.worker" in (process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("TMPDIR") == temporary
        for process in psutil.process_iter(["cmdline", "environ"])
    )


def test_an_unchanged_checkout_passes_and_everything_is_written_down(checkout):
    """The table, the JSON and the markdown name every case and family."""
    code, output, errors = gate(checkout, "--base=main", "--json=gate.json", "--markdown=gate.md")

    assert code == 0, output + errors
    found = json.loads((checkout / "gate.json").read_text())
    assert set(found["judgements"]) == {
        STEP_1,
        "step[engine=eager-batch_size=16]",
        "step[engine=eager]",
    }
    assert found["exit_code"] == 0
    assert found["setting"]["threads"] == 1
    rows = [line for line in (checkout / "gate.md").read_text().splitlines() if line[:1] == "|"]
    assert len(rows) == 2 + len(found["judgements"])
    for name in found["judgements"]:
        assert name in output
        assert any(name in row for row in rows)
    assert "No case was found slower than the base by more than 5%" in output
    assert "the checkout with main (" in output
    assert all(len(line) <= 120 for line in output.splitlines())


def test_the_working_tree_is_the_head_committed_or_not(checkout):
    """A slowdown in it is a regression, and fails."""
    toy.change(checkout, "UNIT_SECONDS", 0.001)

    code, output, errors = gate(checkout, "--base=main")

    assert code == 1, output + errors
    assert f"Regression: {STEP_1}, step[engine=eager-batch_size=16], " in output
    assert "the working tree, changed in 1 file, with main (" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "cancelled"])
def test_an_interrupted_gate_leaves_nothing_behind(checkout, number):
    """No worktree, no worker, no half-written file; its own exit code."""
    process = start(checkout, "--base=main", "--json=gate.json")
    while "pair 1" not in process.stderr.readline():
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
    python = sys.executable

    code, output, errors = gate(checkout, f"--base-python={python}", f"--head-python={python}")

    assert code == 0, output + errors
    assert "with itself" in output
