"""A revision of this repository as a folder of files, for as long as it is needed."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.gate import UsageError


def root(folder: Path) -> Path:
    """The checkout that holds `folder`."""
    return Path(_git(folder, "rev-parse", "--show-toplevel"))


def describe(checkout: Path, revision: str) -> str:
    """The commit that `revision` names, shortened."""
    try:
        return _git(checkout, "rev-parse", "--short", "--verify", f"{revision}^{{commit}}")
    except UsageError as error:
        raise UsageError(
            f"{revision!r} names no commit here: name a branch, a tag or a commit (in CI, fetch "
            "it first)"
        ) from error


def changed_files(checkout: Path) -> int:
    """How many files of the working tree are not as in its last commit."""
    return len(_git(checkout, "status", "--porcelain").splitlines())


@contextmanager
def worktree(checkout: Path, revision: str) -> Iterator[Path]:
    """Take the revision into a temporary worktree, and remove it afterwards, whatever happens."""
    commit = describe(checkout, revision)
    with tempfile.TemporaryDirectory(prefix="gate-base-") as folder:
        tree = Path(folder).resolve() / "base"
        try:
            _git(checkout, "worktree", "add", "--detach", str(tree), commit)
            yield tree
        finally:
            with suppress(UsageError):  # it was never added
                _git(checkout, "worktree", "remove", "--force", str(tree))


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
