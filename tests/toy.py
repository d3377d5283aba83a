"""A small repository whose benchmarks only wait, so that a gate on it takes seconds."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent

SETTINGS = """
UNIT_SECONDS = 0.0005
PEAK_BYTES = 1 << 23
LOSSES = [2.3, 2.2, 2.1]
"""
MODULE = """
import time

from settings import UNIT_SECONDS


def wait():
    until = time.perf_counter() + UNIT_SECONDS
    while time.perf_counter() < until:
        pass
"""
BENCHMARKS = """
import pytest

import settings
from waiting import wait


@pytest.mark.parametrize("size", [1, 16], ids="size={}".format)
def test_wait(benchmark, size):
    benchmark(wait)

    benchmark.extra_info["peak_memory_bytes"] = settings.PEAK_BYTES
    benchmark.extra_info["losses"] = settings.LOSSES


def test_that_measures_nothing():
    raise AssertionError("a gate has no use for it")
"""
PYPROJECT = """
[tool.pytest.ini_options]
addopts = ["--strict-markers", "--benchmark-skip"]

[tool.gate]
arguments = ["test_toy.py"]
"""


def write_tree(tree):
    """Fill a folder with the toy."""
    tree.mkdir(parents=True)
    (tree / "settings.py").write_text(SETTINGS)
    (tree / "waiting.py").write_text(MODULE)
    (tree / "test_toy.py").write_text(BENCHMARKS)
    (tree / "pyproject.toml").write_text(PYPROJECT)
    return tree


def change(tree, name, value):
    """Give one of the settings another value."""
    file = tree / "settings.py"
    text, times = re.subn(
        rf"^{name} = .*$", f"{name} = {value!r}", file.read_text(), flags=re.MULTILINE
    )
    assert times == 1
    file.write_text(text)


def write_checkout(tree):
    """The same, committed to a repository of its own."""
    write_tree(tree)
    (tree / ".gitignore").write_text("__pycache__/\n.pytest_cache/\ngate.*\n")
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "config", "user.name", "Toy")
    git(tree, "config", "user.email", "toy@example.org")
    commit(tree)
    return tree


def commit(tree):
    """Commit everything."""
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message=State of the toy")


def git(tree, *words):
    """What git prints."""
    return subprocess.run(
        ["git", "-C", tree, *words], check=True, capture_output=True, text=True
    ).stdout
