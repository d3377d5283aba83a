"""A small checkout whose cases only wait, so that a gate on it takes seconds and needs no torch."""

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Stands in for torch in the workers, as far as they themselves call it.
TORCH = """
import types

__version__ = "toy"
uint8 = None
device = str
cuda = types.SimpleNamespace(is_initialized=lambda: False)


def empty(*_, **__):
    return None


def get_num_threads():
    return 1
"""
WORKLOAD = """
import os
import time
import types

UNIT_SECONDS = 0.0005
PEAK_BYTES = 1 << 23
LOSSES = [2.3, 2.2, 2.1]
MISBEHAVIOUR = "pass"
misbehaviour = compile(MISBEHAVIOUR, "toy", "exec")
Workload = types.SimpleNamespace


def build(case):
    return Workload(
        unit=lambda: unit(case),
        peak=lambda: b"x" * PEAK_BYTES,
        losses=lambda: types.SimpleNamespace(tolist=lambda: LOSSES),
    )


def prepare():
    pass


def unit(case):
    until = time.perf_counter() + UNIT_SECONDS
    exec(misbehaviour, globals() | {"case": case})
    while time.perf_counter() < until:
        pass
"""
GATE_BATCH_SIZES = 'GATE_BATCH_SIZES = {"step": (1, 16)}'
GATE_ENGINES = 'GATE_ENGINES = ("eager",)'


def write_tree(tree):
    """Fill a folder with the real gate and the toy cases."""
    ignored = shutil.ignore_patterns("__pycache__", "mnist")
    shutil.copytree(ROOT / "bench", tree / "bench", ignore=ignored)
    shutil.copytree(ROOT / "src", tree / "src", ignore=ignored)
    (tree / "src" / "torch.py").write_text(TORCH)
    (tree / "bench" / "gate" / "workload.py").write_text(WORKLOAD)
    edit(tree / "bench" / "cases.py", r"^GATE_BATCH_SIZES = .*$", GATE_BATCH_SIZES)
    edit(tree / "bench" / "cases.py", r"^GATE_ENGINES = .*$", GATE_ENGINES)
    edit(tree / "bench" / "gate" / "duet.py", r"^CASE_SECONDS = \S+", "CASE_SECONDS = 0.03")
    return tree


def edit(file, pattern, replacement):
    """Replace the one line that matches."""
    text, times = re.subn(pattern, replacement, file.read_text(), flags=re.MULTILINE)
    assert times == 1
    file.write_text(text)


def change(tree, name, value):
    """Give one of the workload's constants another value."""
    file = tree / "bench" / "gate" / "workload.py"
    edit(file, rf"^{name} = .*$", f"{name} = {value!r}")


def write_checkout(tree):
    """The same, committed to a repository of its own."""
    write_tree(tree)
    (tree / ".gitignore").write_text("__pycache__/\ngate.*\n")
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
