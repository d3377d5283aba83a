"""The README and the pages in docs/ tell the truth about commands, options and files."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as bench_main
from bench import options

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "duet" / "README.md"),
    *sorted(
        page for docs in (ROOT / "docs", ROOT / "duet" / "docs") for page in docs.rglob("*.md")
    ),
]


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


def test_the_first_page_is_one_that_a_newcomer_finishes(readme):
    """At most 130 lines of at most 120 characters."""
    lines = readme.splitlines()

    assert len(lines) <= 130
    assert max(map(len, lines)) <= 120


def test_the_tree_is_the_tree():
    """It shows every folder that git tracks, every file of the package, and nothing else."""
    try:
        command = ["git", "ls-files"]
        tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    files = {Path(name) for name in tracked.stdout.splitlines()}
    files = {file for file in files if file.parts[0] != "duet"} | {Path("duet/README.md")}
    folders = {parent for file in files for parent in file.parents} - {Path(), Path("src")}
    modules = {
        file
        for file in files
        if file.is_relative_to("src") and file.suffix == ".py" and file.name != "__init__.py"
    }
    parts = {file for file in modules if any(map(file.is_relative_to, ONE_LINE_FOLDERS))}

    shown = tree((ROOT / "CONTRIBUTING.md").read_text())
    assert shown == (folders - {Path(".github/workflows")}) | (modules - parts)


ONE_LINE_FOLDERS = (Path("src/mnist_mlp/engines/native"), Path("src/mnist_mlp/workers"))


def tree(page):
    """The paths in the tree that a page shows; two spaces of indent per level."""
    shown, folders = set(), []
    for line in code_blocks(page, "text")[-1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        folders = [*folders[:depth], line.split()[0]]
        shown.add(Path("".join(folders)))
    return shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_named_file_exists(page):
    """A path with NAME in it is a pattern."""
    text = page.read_text()
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    named = re.findall(r"`((?:bench|src|tests|docs)/[\w/.-]+)`", text)

    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [name for name in named if "NAME" not in name and not (ROOT / name).exists()]
    assert not missing


def test_every_marker_of_a_page_has_its_block():
    """docs/pages.py, which docs/remake.sh runs, knows what to write between all markers."""
    known = re.findall(r'^    "([\w-]+)":', (ROOT / "docs" / "pages.py").read_text(), re.MULTILINE)
    markers = {
        name for page in PAGES for name in re.findall(r"remade: ([\w-]+) -->", page.read_text())
    }

    assert markers == set(known)


@pytest.mark.parametrize("command", options.OPTIONS)
def test_the_tables_of_options_are_made_of_their_declarations(command):
    """`bench.options.as_markdown` writes them."""
    text = (ROOT / "docs" / "options.md").read_text()

    assert f"<!-- options: {command} -->\n{options.as_markdown(command)}\n<!-- end -->" in text


def test_help_is_there_at_once():
    """No command imports what takes long to import before it has read its options."""
    script = f"""
import contextlib, io, runpy, sys
for command in {[[], *([name] for name in bench_main.COMMANDS)]}:
    sys.argv = ["bench", *command, "--help"]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        runpy.run_module("bench", run_name="__main__")
    slow = {{"torch", "scipy", "altair", "numpy", "pytest"}} & set(sys.modules)
    assert not slow, f"{{command}} imports {{slow}}"
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
