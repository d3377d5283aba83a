"""Writes files whole or not at all: a reader finds the old content or the new one.

Content goes to a temporary name in the file's own folder, is synced, and is then renamed. A process
that is killed before it renames leaves that temporary file, which the next write to the folder
removes. A file that grows line by line has one writer at a time. Nothing is imported but the
standard library.
"""

import errno
import fcntl
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from mnist_mlp.errors import UserError

PREFIX = ".writing-"
RANDOM_BYTES = 8  # random part of a temporary file's name, written as hex digits
STREAMS = {Path("/dev/stdout"): 1, Path("/dev/stderr"): 2}  # file descriptors
CAUSES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "files here may not be that large",
    errno.EROFS: "the file system can only be read",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ENOENT: "its folder is not there",
    errno.ENOTDIR: "its folder is a file",
    errno.EISDIR: "it is a folder",
    errno.EIO: "the disk failed",
}


class WriteError(UserError):
    """A file that cannot be written: its name, the cause, and what is there now."""


def write(files: Mapping[Path, bytes]) -> None:
    """Write every file under a temporary name first, so that a full disk leaves all as they were.

    A symbolic link is followed, and a file that is replaced keeps its permissions. A pipe, a device
    and /dev/stdout are written to directly.

    Raises:
        WriteError: for the first file that cannot be written.

    """
    with ExitStack() as stack:
        staged = {}
        for file, content in files.items():
            target = Path(os.path.realpath(file))
            with _explained(file):
                if file in STREAMS:  # opening it anew would truncate a redirected file
                    sys.stdout.flush()
                    _write_all(STREAMS[file], content)
                elif file.exists() and not file.is_file():
                    file.write_bytes(content)
                else:
                    staged[target] = file, stack.enter_context(_staged(target, content))
        for target, (file, temporary) in staged.items():
            with _explained(file):
                temporary.replace(target)
                _sync_folder(target.parent)


class Appender:
    """A file that only this process adds lines to, for as long as it is open.

    The file is made if it does not exist. WriteError is raised if the file cannot be opened, or if
    another process has it open as an `Appender`.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with _explained(file):
            self._log = file.open("a+b", buffering=0)
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise WriteError(
                f"{file} is being written by another process: wait for its end, or name another "
                "file"
            ) from error
        except OSError:  # a file system without locks
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, line: bytes) -> None:
        """Add a line to the end, and sync it; remove a line that could not be written whole."""
        with _explained(self.file):
            before = self._log.seek(0, os.SEEK_END)
            try:
                _write_all(self._log.fileno(), line)
                os.fsync(self._log.fileno())
            except OSError:
                with suppress(OSError):  # the first error is raised
                    self._log.truncate(before)
                raise

    def mend(self) -> None:
        """Cut off an unfinished last line, so that the next line does not continue it."""
        with _explained(self.file):
            self._log.seek(0)
            content = self._log.readall()
            if not content.endswith(b"\n"):
                self._log.truncate(content.rfind(b"\n") + 1)

    def close(self) -> None:
        """Let other processes write the file."""
        self._log.close()


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, or raise WriteError."""
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _staged(target: Path, content: bytes) -> Iterator[Path]:
    """Hold the content in a temporary file beside the target until the `with` ends."""
    _remove_abandoned(target.parent)
    temporary, descriptor = _new_temporary(target.parent)
    try:
        with suppress(FileNotFoundError):
            os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
        _write_all(descriptor, content)
        os.fsync(descriptor)
        yield temporary
    finally:
        with suppress(OSError):  # it was renamed, or its folder is gone
            temporary.unlink()
        os.close(descriptor)


def _new_temporary(folder: Path) -> tuple[Path, int]:
    """Make a file that is locked for as long as this process lives and keeps it open."""
    while True:
        temporary = folder / f"{PREFIX}{secrets.token_hex(RANDOM_BYTES)}"
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # a file system without locks: abandoned files stay
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # another process removed it as abandoned before it was locked


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of processes that no longer live."""
    for temporary in folder.glob(PREFIX + 2 * RANDOM_BYTES * "[0-9a-f]"):
        with suppress(OSError), temporary.open("r+b") as file:  # OSError: it is locked, or gone
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()


def _write_all(descriptor: int, content: bytes) -> None:
    """Write all of the content: a single call may write only a part."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_folder(folder: Path) -> None:
    """Let a rename outlast a loss of power, where the file system can sync a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Turn an OSError into a WriteError with a sentence for the user."""
    try:
        yield
    except OSError as error:
        cause = CAUSES.get(error.errno or 0, error.strerror or str(error))
        is_there = os.access(file, os.F_OK)
        left = "its old content is unchanged" if is_there else "the file does not exist"
        raise WriteError(f"{file} cannot be written: {cause}; {left}") from error
