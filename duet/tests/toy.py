"""A small repository whose benchmarks only advance a clock of their own."""

import subprocess

SETTINGS = """
UNIT_SECONDS = 0.0005
PEAK_BYTES = 1 << 23
LOSSES = [2.3, 2.2, 2.1]
"""
MODULE = """
import itertools
import time

from settings import UNIT_SECONDS

now = 0.0
noise = itertools.cycle([0.998, 1.001, 1.0, 1.002, 0.999])


def wait(seconds=UNIT_SECONDS):
    global now
    now += seconds * next(noise)


time.perf_counter = lambda: now
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
    raise AssertionError("a gate must not run a test that measures nothing")
"""
PYPROJECT = """
[tool.pytest.ini_options]
addopts = ["--strict-markers", "--benchmark-skip"]

[tool.pytest-duet]
arguments = ["test_toy.py"]
"""


def write_tree(tree):
    """Create a folder with the toy repository's files."""
    tree.mkdir(parents=True)
    (tree / "settings.py").write_text(SETTINGS)
    (tree / "waiting.py").write_text(MODULE)
    (tree / "test_toy.py").write_text(BENCHMARKS)
    (tree / "pyproject.toml").write_text(PYPROJECT)
    return tree


def change(tree, name, value):
    """Give a setting another value."""
    with (tree / "settings.py").open("a") as file:
        file.write(f"{name} = {value!r}\n")


def write_checkout(tree):
    """Create a git repository with the toy, and with a second copy in its folder `inner`."""
    write_tree(tree)
    write_tree(tree / "inner")
    (tree / ".gitignore").write_text("__pycache__/\n.pytest_cache/\ngate.*\n")
    commit(tree)
    return tree


def commit(tree):
    """Make a folder a git repository, and commit all its files."""
    author = "-c", "user.name=Toy", "-c", "user.email=toy@example.org"
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", "--all")
    git(tree, *author, "commit", "--quiet", "--message=State of the toy")


def git(tree, *words):
    """Run git in a folder; return its output."""
    return subprocess.run(
        ["git", "-C", tree, *words], check=True, capture_output=True, text=True
    ).stdout
