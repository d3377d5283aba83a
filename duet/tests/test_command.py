"""The command pytest-duet in a git checkout, as users run it."""

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

import toy
from pytest_duet import command, comparison, result

WAIT = "test_toy.py::test_wait"


@pytest.fixture
def checkout(tmp_path):
    """Return a toy checkout with one commit."""
    return toy.write_checkout(tmp_path / "checkout")


@pytest.fixture
def gate(tmp_path, monkeypatch, capfd):
    """Return a function that runs a gate, and gives its exit code, output and errors."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # makes tempfile read TMPDIR again

    def gate(folder, *words):
        monkeypatch.chdir(folder)
        code = command.main(words)
        assert_nothing_is_left(tmp_path)
        return code, *capfd.readouterr()

    return gate


def assert_nothing_is_left(folder):
    """Check that no temporary file, no other worktree and no process is left."""
    assert not list((folder / "temporary").iterdir())
    assert len(toy.git(folder / "checkout", "worktree", "list").splitlines()) == 1
    deadline = time.monotonic() + 10
    while is_running(folder / "temporary"):
        assert time.monotonic() < deadline, "a process of the gate still runs"
        time.sleep(0.05)


def is_running(temporary):
    """Return whether a process of a gate with this temporary folder runs."""
    return any(
        "duet_server" in " ".join(process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("TMPDIR") == str(temporary)
        for process in psutil.process_iter(["cmdline", "environ"])
    )


def test_an_unchanged_checkout_passes_and_all_cases_are_written(checkout, gate):
    """The JSON names every case and family, and with -v the tables do, too."""
    code, output, errors = gate(checkout, "--base=main", "--json=gate.json", "--markdown=gate.md")
    verbose = gate(checkout, "--base=main", "-v", "--markdown=gate.md")

    assert code == verbose[0] == 0, output + errors
    written = json.loads((checkout / "gate.json").read_text())
    assert set(written["judgements"]) == {WAIT, f"{WAIT}[size=1]", f"{WAIT}[size=16]"}
    assert written["exit_code"] == 0
    assert written["setting"]["threads"] == 1
    folded, *_, sentence = output.splitlines()
    assert folded.startswith("ok: 2 cases and 1 group of cases, ratios ")
    assert "No case was found slower than the base by more than 5%" in sentence
    assert "the checkout with main (" in sentence
    markdown = (checkout / "gate.md").read_text()
    assert markdown.count("\n|") == 1 + len(written["judgements"])
    for name in ("test_wait[size=1]", "test_wait[size=16]", "test_wait, all"):
        assert f" {name} " in verbose[1]
        assert f"| {name} " in markdown
    assert all(len(line) <= 120 for line in verbose[1].splitlines())


def test_an_interrupted_gate_leaves_nothing_behind(tmp_path):
    """After SIGINT or SIGTERM it ends with 130, and leaves no worktree, process or partial file."""
    started = []
    for number in ("SIGINT", "SIGTERM"):
        folder = tmp_path / number
        (folder / "temporary").mkdir(parents=True)
        checkout = toy.write_checkout(folder / "checkout")
        toy.change(checkout, "UNIT_SECONDS", 0.001)  # a slowdown takes many pairs
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest_duet", "--base=main", "--json=gate.json"],
            cwd=checkout,
            env=os.environ | {"TMPDIR": str(folder / "temporary")},
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


def test_a_missing_prerequisite_is_named(checkout, tmp_path, gate, monkeypatch, capfd):
    """A missing repository, a setting of the wrong type and a missing git end in one sentence."""
    outside = toy.write_tree(tmp_path / "outside")
    (checkout / "pyproject.toml").write_text("[tool.pytest-duet]\narguments = 'test_toy.py'\n")

    no_repository, no_list = (gate(folder, "--base=main") for folder in (outside, checkout))
    (checkout / "pyproject.toml").write_text("")
    monkeypatch.setenv("PATH", str(outside))
    no_git = command.main(["--base=main"])

    assert no_repository[0] == no_list[0] == no_git == 2
    assert "not a git repository" in no_repository[2]
    assert "[tool.pytest-duet] arguments must be a list" in no_list[2]
    assert "git is needed and cannot be run" in capfd.readouterr().err


def test_any_folder_of_the_working_tree_is_the_head_committed_or_not(
    checkout, tmp_path, gate, monkeypatch
):
    """The folder is compared with the same folder of the base, or with itself in another Python."""
    seen = []

    def compare(*compared, names, **_):
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
    """The target of a link is written, and a failure is reported in one sentence."""
    (tmp_path / "link").symlink_to(tmp_path / "file")

    assert result.write(tmp_path / "link", "written")
    assert not result.write(tmp_path / "nowhere" / "file", "lost")
    assert not result.write(tmp_path, "lost")
    assert (tmp_path / "file").read_text() == "written"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file", tmp_path / "link"]
    assert "nowhere/file cannot be written: No such file or directory" in capfd.readouterr().err


def test_showing_text_on_a_closed_pipe_raises_nothing(monkeypatch):
    """With `| head`, neither printing nor closing the stream raises."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        result.show("x" * 10_000)


def test_help_imports_nothing_heavy_and_the_gate_neither_pytest_nor_torch():
    """Help is quick, and a gate imports only psutil, rich and scipy of the heavy packages."""
    code = """if True:
        import sys
        from pytest_duet import command

        try:
            command.main(["--help"])
        except SystemExit as ended:
            assert ended.code == 0
        assert not {"numpy", "scipy", "psutil", "rich"} & sys.modules.keys()
        import pytest_duet.audit
        assert not {"pytest", "torch"} & sys.modules.keys()"""

    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_options_may_stand_in_pyproject(checkout, monkeypatch):
    """Options of the command line override the settings in pyproject.toml."""
    monkeypatch.chdir(checkout / "inner")
    (checkout / "inner" / "pyproject.toml").write_text(
        """[tool.pytest-duet]
base = "main"
margin = "10%"
minutes = 2
verbose = true
arguments = ["-k", "x"]
"""
    )

    options = command.parse(["--margin=3%"])
    chosen = command.parse(["--", "-k", "y"])

    assert (options.base, options.margin, options.minutes) == ("main", 0.03, 2)
    assert options.verbose
    assert options.arguments == ["-k", "x"]
    assert (chosen.arguments, chosen.margin) == (["-k", "y"], 0.1)


REFUSALS = {
    "--base=nowhere": (2, "'nowhere' names no commit here: name a branch, a tag or a commit"),
    "--base-python=python --build=make": (2, "--build builds a revision and the working tree"),
    "--base=main --build={folder}": (2, "use only {tree}, {python} and {target}, and"),
    "--margin=-5%": (2, "'-5%' is not a share such as 5% or 0.05"),
    "--seconds-per-case=0": (2, "'0' is not a number above 0"),
    "--minutes=soon": (2, "'soon' is not a number above 0"),
    "--threads=100000": (2, "100000 threads on"),
    "--threads=0": (2, "'0' is not a whole number of at least 1"),
    "--tree=nowhere": (2, "'nowhere' is not a folder that exists"),
    "--json=nowhere/gate.json": (2, "'nowhere/gate.json' is not a file in a folder that exists"),
    "--base-python=/no/python": (4, "cannot run /no/python"),
    "": (2, "name what to compare with: --base main"),
}


@pytest.mark.parametrize("words", REFUSALS)
def test_an_invalid_command_line_is_refused_in_one_sentence(words, checkout, capfd, monkeypatch):
    """The command refuses an invalid option before it prints or measures anything."""
    monkeypatch.chdir(checkout)
    code, sentence = REFUSALS[words]

    with pytest.raises(SystemExit) as ended:
        sys.exit(command.main(words.split()))

    printed = capfd.readouterr()
    assert (ended.value.code, printed.out) == (code, "")
    assert sentence in printed.err
