"""python -m bench gate in a git checkout, as its users call it."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import psutil
import pytest

from bench import __main__ as bench_main
from bench.gate import comparison, result, turns
from tests import toy

WAIT = "test_toy.py::test_wait"


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
    """No temporary file, no worktree beside the checkout, no process."""
    assert not list((folder / "temporary").iterdir())
    assert len(toy.git(folder / "checkout", "worktree", "list").splitlines()) == 1
    deadline = time.monotonic() + 10
    while is_running(folder / "temporary"):
        assert time.monotonic() < deadline, "a process goes on"
        time.sleep(0.05)


def is_running(temporary):
    """Whether a process of a gate with this temporary folder runs."""
    return any(
        "gate_server" in " ".join(process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("TMPDIR") == str(temporary)
        for process in psutil.process_iter(["cmdline", "environ"])
    )


def test_an_unchanged_checkout_passes_and_everything_is_written_down(checkout, gate):
    """The table, the JSON and the markdown name every case and family."""
    code, output, errors = gate(checkout, "--base=main", "--json=gate.json", "--markdown=gate.md")

    assert code == 0, output + errors
    written = json.loads((checkout / "gate.json").read_text())
    assert set(written["judgements"]) == {WAIT, f"{WAIT}[size=1]", f"{WAIT}[size=16]"}
    assert written["exit_code"] == 0
    assert written["setting"]["threads"] == 1
    markdown = (checkout / "gate.md").read_text()
    assert markdown.count("\n|") == 1 + len(written["judgements"])
    for name in ("test_wait[size=1]", "test_wait[size=16]", "test_wait, all"):
        assert f" {name} " in output
        assert f"| {name} " in markdown
    assert "No case was found slower than the base by more than 5%" in output
    assert "the checkout with main (" in output
    assert all(len(line) <= 120 for line in output.splitlines())


def test_an_interrupted_gate_leaves_nothing_behind(tmp_path):
    """No worktree, no process, no half-written file; its own exit code. So does a cancelled one."""
    started = []
    for number in ("SIGINT", "SIGTERM"):
        folder = tmp_path / number
        (folder / "temporary").mkdir(parents=True)
        python_path = os.pathsep.join([str(toy.ROOT / "src"), str(toy.ROOT)])
        checkout = toy.write_checkout(folder / "checkout")
        toy.change(checkout, "UNIT_SECONDS", 0.001)  # a slowdown, which takes many pairs
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", "gate", "--base=main", "--json=gate.json"],
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": python_path, "TMPDIR": str(folder / "temporary")},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append((process, folder))
    for process, folder in started:
        while "pair 1" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.Signals[folder.name])
    for process, folder in started:
        _, errors = process.communicate(timeout=60)

        assert process.returncode == 130
        assert errors.splitlines()[-1] == "interrupted"
        assert not (folder / "checkout" / "gate.json").exists()
        assert_nothing_is_left(folder)


def test_what_is_missing_is_named(checkout, tmp_path, gate, monkeypatch, capfd):
    """A repository, arguments that are a list, and git, in place of a traceback."""
    outside = toy.write_tree(tmp_path / "outside")
    (checkout / "pyproject.toml").write_text("[tool.gate]\narguments = 'test_toy.py'\n")

    no_repository, no_list = (gate(folder, "--base=main") for folder in (outside, checkout))
    monkeypatch.setenv("PATH", str(outside))
    no_git = bench_main.main(["gate", "--base=main"])

    assert no_repository[0] == no_list[0] == no_git == 2
    assert "not a git repository" in no_repository[2]
    assert "[tool.gate] arguments is a list" in no_list[2]
    assert "git is needed and cannot be run" in capfd.readouterr().err


def test_any_folder_of_the_working_tree_is_the_head_committed_or_not(
    checkout, tmp_path, gate, monkeypatch
):
    """It is compared with the same folder of the base, or with itself in another Python."""
    seen = []

    def compare(*compared, names):
        *versions, arguments, _ = compared
        settings = [(version.tree / "settings.py").read_text() for version in versions]
        seen.append(([version.python for version in versions], settings, arguments, names))
        raise comparison.UsageError("nothing is measured")

    monkeypatch.setattr(comparison, "compare", compare)
    toy.change(checkout / "inner", "PEAK_BYTES", 1)
    changed = toy.SETTINGS + "PEAK_BYTES = 1\n"
    tree = f"--tree={checkout / 'inner'}"

    gate(tmp_path, "--base=main", tree)
    gate(tmp_path, "--base-python=old", tree, "--", WAIT)

    (pythons, settings, arguments, names), in_old = seen
    assert pythons == [sys.executable] * 2
    assert settings == [toy.SETTINGS, changed]
    assert arguments == ["test_toy.py"]
    assert re.fullmatch(r"main \(\w+\)", names[0])
    assert names[1] == "the working tree, changed in 1 file,"
    assert in_old == (["old", sys.executable], [changed] * 2, [WAIT], ("itself", names[1]))


def test_a_file_is_written_whole_or_not_at_all(tmp_path, capfd):
    """A link is followed, a stream is written to, and a failure is told in a sentence."""
    (tmp_path / "link").symlink_to(tmp_path / "file")

    assert result.write(tmp_path / "link", "written")
    assert not result.write(tmp_path / "nowhere" / "file", "lost")
    assert not result.write(tmp_path, "lost")
    assert (tmp_path / "file").read_text() == "written"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file", tmp_path / "link"]
    assert "nowhere/file cannot be written: No such file or directory" in capfd.readouterr().err


def test_nobody_need_read_to_the_end(monkeypatch):
    """As behind `| head`: neither the print nor the end of the stream raises."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        result.show("x" * 10_000)


def test_help_imports_nothing_heavy_and_the_gate_neither_pytest_nor_torch():
    """In another repository the gate's environment has psutil, pydantic, rich and scipy alone."""
    code = """if True:
        import sys
        from bench import __main__

        for command in ("gate", "audit"):
            try:
                __main__.main([command, "--help"])
            except SystemExit as ended:
                assert ended.code == 0
        assert not {"numpy", "scipy", "psutil", "rich", "torch"} & sys.modules.keys()
        import bench.gate.audit.gates
        assert not {"pytest", "torch", "numba"} & sys.modules.keys()"""

    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
