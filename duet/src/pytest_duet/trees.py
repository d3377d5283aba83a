"""The trees of both versions: a revision in a git worktree, and a build in each tree."""

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pytest_duet import IncomparableError, UsageError

LAST_LINES = 20  # lines shown of the output of a failed build
COMPILER_SETTINGS = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "RUSTFLAGS")
BUILT = "built"  # file that marks a successful build


@dataclass(frozen=True, kw_only=True)
class Version:
    """Code to measure, and the Python to measure it with."""

    name: str
    tree: Path
    python: str
    target: Path | None = None  # a folder that a build installs into, imported from first

    @property
    def import_folders(self) -> list[Path]:
        """The folders from which the version's code is imported before all others."""
        folders = (self.target, self.tree / "src", self.tree)
        return [folder for folder in folders if folder and folder.is_dir()]

    def holds(self, file: str) -> bool:
        """Whether a file is the version's own, and not in an environment within its tree."""
        path = Path(file)
        if self.target and path.is_relative_to(self.target):
            return True
        if not path.is_relative_to(self.tree):
            return False
        inner = path.relative_to(self.tree).parts
        return not any(part == "site-packages" or part.startswith("python3.") for part in inner)

    @cached_property
    def project(self) -> str:
        """The import name that the project in the tree probably has."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            content = (self.tree / "pyproject.toml").read_text()
            return str(tomllib.loads(content)["project"]["name"]).lower().replace("-", "_")
        return ""

    def has_source_of(self, name: str) -> bool:
        """Whether a top-level module is in the version's code, wherever it was imported from."""
        return name == self.project or any(
            (folder / name / "__init__.py").is_file() or (folder / f"{name}.py").is_file()
            for folder in self.import_folders
        )


def root(folder: Path) -> Path:
    """Return the checkout that holds `folder`."""
    return Path(_git(folder, "rev-parse", "--show-toplevel"))


def describe(checkout: Path, revision: str) -> str:
    """Return the short hash of the commit that `revision` names."""
    try:
        return _git(checkout, "rev-parse", "--short", "--verify", f"{revision}^{{commit}}")
    except UsageError as error:
        raise UsageError(
            f"{revision!r} names no commit here: name a branch, a tag or a commit (in CI, fetch "
            "it first)"
        ) from error


def changed_files(checkout: Path) -> int:
    """Return how many tracked files differ from the last commit."""
    return len(_git(checkout, "status", "--porcelain", "--untracked-files=no").splitlines())


@contextmanager
def worktree(checkout: Path, revision: str) -> Iterator[Path]:
    """Check the revision out into a temporary worktree, and always remove it afterwards."""
    commit = describe(checkout, revision)
    with tempfile.TemporaryDirectory(prefix="pytest-duet-base-") as folder:
        tree = Path(folder).resolve() / "base"
        try:
            _git(checkout, "worktree", "add", "--detach", str(tree), commit)
            yield tree
        finally:
            _remove(checkout, tree)


def _remove(checkout: Path, tree: Path) -> None:
    with suppress(UsageError):  # the worktree may not exist
        # Twice --force removes a locked worktree, too.
        _git(checkout, "worktree", "remove", "--force", "--force", str(tree))


def _build_folder(checkout: Path) -> Path:
    return Path(_git(checkout, "rev-parse", "--absolute-git-dir")) / "pytest-duet"


@contextmanager
def base(
    checkout: Path,
    revision: str,
    head: Version,
    *,
    build_command: str | None = None,
    tell: Callable[[str], object],
) -> Iterator[Version]:
    """Check the revision out into a worktree, and build it there if there is a build command.

    A successful build stays in the checkout's git folder for the next gate on the same revision,
    until another build replaces it.
    """
    inner = head.tree.relative_to(checkout)
    if not build_command:
        with worktree(checkout, revision) as tree:
            yield _within(replace(head, tree=tree), inner)
        return
    commit = _git(checkout, "rev-parse", "--verify", f"{revision}^{{commit}}")
    python = Path(shutil.which(head.python) or head.python)
    made = python.stat().st_mtime_ns if python.exists() else 0
    flags = [f"{name}={os.environ.get(name)}" for name in COMPILER_SETTINGS]
    content = "\0".join([commit, str(inner), str(python), str(made), build_command, *flags])
    folder = _build_folder(checkout) / f"base-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    tree, mark = folder / "tree", folder / BUILT
    version = replace(head, tree=tree, target=folder / "target")
    if not mark.exists():
        tell("building the base")
        for other in folder.parent.glob("base-*"):
            _remove(checkout, other / "tree")
            shutil.rmtree(other)
        try:
            (folder / "target").mkdir(parents=True)
            _git(checkout, "worktree", "add", "--force", "--detach", str(tree), commit)
            build(_within(version, inner), build_command)
            mark.touch()
        finally:
            if not mark.exists():
                _remove(checkout, tree)
                shutil.rmtree(folder, ignore_errors=True)
    yield _within(version, inner)


def _within(version: Version, inner: Path) -> Version:
    if not (version.tree / inner).is_dir():
        raise IncomparableError(f"{version.name} has no folder {inner}")
    return replace(version, tree=version.tree / inner)


def built_head(checkout: Path, head: Version, command: str) -> Version:
    """Build the working tree in place."""
    target = _build_folder(checkout) / "head"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    version = replace(head, target=target)
    build(version, command)
    return version


def build(version: Version, command: str) -> None:
    """Run a build command in a version's tree."""
    places = {"tree": version.tree, "python": version.python, "target": version.target}
    try:
        line = command.format_map({name: shlex.quote(str(path)) for name, path in places.items()})
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(
            f"--build {command!r} cannot be filled in ({error!r}): use only {{tree}}, {{python}} "
            "and {target}, and write any other brace twice"
        ) from error
    process = subprocess.Popen(
        line,
        shell=True,
        cwd=version.tree,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate()
    except BaseException:  # Ctrl-C must end the compilers, too
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        last = "\n".join(output.splitlines()[-LAST_LINES:])
        raise IncomparableError(
            f"{version.name} cannot be built: {line} ended with {process.returncode}\n{last}"
        )


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise UsageError(f"git is needed and cannot be run: {error}") from error
    if done.returncode:
        raise UsageError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
