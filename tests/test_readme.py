"""The README tells the truth about commands, options and files."""

import configparser
import re
import subprocess
from pathlib import Path

import pytest

from bench.gate import command
from bench.suite import options

ROOT = Path(__file__).parent.parent
PACKAGES = ("src/mnist_mlp", "bench", "bench/answer", "bench/gate", "tests")


@pytest.fixture(scope="module")
def readme():
    """Its text."""
    return (ROOT / "README.md").read_text()


def code_blocks(readme, language):
    """The content of each fenced block in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)


def test_the_two_commands_open_the_readme_and_name_environments_that_exist(readme):
    """The first sets up and benchmarks, the second sets up and tests."""
    tox = configparser.ConfigParser(inline_comment_prefixes="#")
    tox.read(ROOT / "tox.ini")
    setup = "python -m pip install tox && python -m tox run"

    benchmarks, tests = code_blocks(readme, "bash")[:2]

    assert benchmarks == f"{setup} -e bench\n"
    assert tests == f"{setup}\n"
    assert tox["tox"]["env_list"] == "test"
    assert "testenv:bench" in tox


def test_ci_runs_the_readmes_test_command():
    """As it stands."""
    assert "python -m tox run\n" in (ROOT / ".ci" / "run").read_text()


def test_the_tree_is_the_tree(readme):
    """Every file that git tracks has a place in the README's tree, and no other has."""
    try:
        command = ["git", "ls-files"]
        tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    hidden = {".gitignore", *(f"{folder}/__init__.py" for folder in PACKAGES)}
    files = {
        name if "/mnist/" not in name else "src/mnist_mlp/mnist/"
        for name in tracked.stdout.splitlines()
    }

    shown, folders = set(), []
    for line in code_blocks(readme, "text")[-1].splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        folders = [*folders[:depth], name]
        shown.add("".join(folders))

    leaves = {path for path in shown if not any(o != path and o.startswith(path) for o in shown)}
    assert leaves == files - hidden


class Recorder:
    """Stands in for pytest's parser, and notes the options it is given."""

    def __init__(self):
        self.names = set()

    def getgroup(self, _):
        return self

    def addoption(self, name, **_):
        self.names.add(name)


def test_every_option_has_a_row(readme):
    """And every row has an option."""
    added = Recorder()
    options.add_to(added)

    section = readme[readme.index("## Options") : readme.index("## Train")]
    assert set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE)) == added.names


def test_the_gates_options_are_those_of_the_command(readme):
    """And the workflow's gate is the README's."""
    section = readme[readme.index("## Is this change slower?") : readme.index("### In CI")]
    known = set(re.findall(r"--[a-z][a-z-]+", command.parser().format_help()))
    workflow = (ROOT / ".github" / "workflows" / "benchmark.yml").read_text()
    gate = 'python -m tox run -e gate -- --base "origin/$GITHUB_BASE_REF" --json gate.json'

    rows = [line for line in section.splitlines() if line.startswith("| `--")]
    assert {*re.findall(r"--[a-z][a-z-]+", " ".join(rows)), "--base"} == known
    assert gate in readme
    assert gate in " ".join(workflow.split())
