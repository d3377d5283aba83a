"""A small repository whose benchmarks only wait, by a clock that no busy neighbour can slow."""

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
    raise AssertionError("a gate has no use for it")
"""
PYPROJECT = """
[tool.pytest.ini_options]
addopts = ["--strict-markers", "--benchmark-skip"]

[tool.pytest-duet]
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
    with (tree / "settings.py").open("a") as file:
        file.write(f"{name} = {value!r}\n")


def write_checkout(tree):
    """The same, and once more in a folder, committed to a repository of its own."""
    write_tree(tree)
    write_tree(tree / "inner")
    (tree / ".gitignore").write_text("__pycache__/\n.pytest_cache/\ngate.*\n")
    commit(tree)
    return tree


def commit(tree):
    """Make a folder a checkout with one commit."""
    author = "-c", "user.name=Toy", "-c", "user.email=toy@example.org"
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", "--all")
    git(tree, *author, "commit", "--quiet", "--message=State of the toy")


def git(tree, *words):
    """What git prints."""
    return subprocess.run(
        ["git", "-C", tree, *words], check=True, capture_output=True, text=True
    ).stdout
