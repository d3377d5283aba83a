"""Files are written whole or not at all, whatever happens meanwhile."""

import errno
import itertools
import os
import random
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from mnist_mlp import atomic
from mnist_mlp.atomic import Appender, WriteError

OLD, NEW = b"old" * 50, b"new!" * 50

# Rewrites two files without end; a whole file repeats one letter.
WRITER = """
import sys
from pathlib import Path
from mnist_mlp import atomic
folder = Path(sys.argv[1])
log = atomic.Appender(folder / "log")
print("ready", flush=True)
while True:
    for letter in b"ab":
        content = bytes([letter]) * 200_000
        atomic.write({folder / "one": content, folder / "two": content})
        log.append(bytes([letter]) * 100 + b"\\n")
"""


def hidden(folder):
    """Names of the temporary files in a folder."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_disk_that_is_full_after_any_number_of_bytes_leaves_the_old_files(
    tmp_path, file_size_limit
):
    """The write changes no file and leaves no temporary file."""
    for size in range(len(NEW)):
        one, two = tmp_path / "one", tmp_path / "two"
        one.write_bytes(OLD)
        with (
            file_size_limit(size),
            pytest.raises(WriteError, match="one cannot be written: files here may not be that"),
        ):
            atomic.write({one: NEW, two: OLD})

        assert one.read_bytes() == OLD
        assert sorted(tmp_path.iterdir()) == [one]


def test_a_line_that_does_not_fit_is_taken_off_again(tmp_path, file_size_limit):
    """A line that was written in part is removed, and the lines before it stay."""
    for size in range(30):
        file = tmp_path / "log"
        file.write_bytes(b"first\n")
        with (
            file_size_limit(size + len(b"first\n")),
            pytest.raises(WriteError, match=r"log cannot be written: .*old content is unchanged"),
            Appender(file) as log,
        ):
            log.append(b"x" * 30 + b"\n")

        assert file.read_bytes() == b"first\n"


@pytest.mark.parametrize("torn", [b'{"a": 1', b"", b"\xff", b"}"])
def test_a_torn_last_line_is_cut_off_and_the_next_line_stands_alone(tmp_path, torn):
    """Opening a file changes nothing; `mend` cuts off the torn line."""
    file = tmp_path / "log"
    file.write_bytes(b"first\n" + torn)

    with Appender(file) as log:
        assert file.read_bytes() == b"first\n" + torn
        log.mend()
        log.append(b"second\n")

    assert file.read_bytes() == b"first\nsecond\n"


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path):
    """A second writer could cut off a line that the first is still writing."""
    file = tmp_path / "log"
    with Appender(file) as first:
        first.append(b"unfinished")
        with pytest.raises(WriteError, match="log is being written by another process: wait for"):
            Appender(file)
        first.append(b" no more\n")

    with Appender(file) as second:
        second.mend()
        second.append(b"next\n")
    assert file.read_bytes() == b"unfinished no more\nnext\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_call_of_the_system_that_fails_leaves_whole_files(tmp_path, monkeypatch, code):
    """Whichever call fails, each file is old or new, and no temporary file is left."""
    for failing in itertools.count():
        one, two = tmp_path / "one", tmp_path / "two"
        one.write_bytes(OLD)
        two.write_bytes(OLD)
        numbers = itertools.count()

        def wrapped(call, numbers=numbers, failing=failing):
            def fails(*arguments, **options):
                if next(numbers) == failing:
                    raise OSError(code, os.strerror(code))
                return call(*arguments, **options)

            return fails

        with monkeypatch.context() as patch:
            for name in ("open", "write", "fsync", "replace"):
                patch.setattr(os, name, wrapped(getattr(os, name)))
            with suppress(WriteError):
                atomic.write({one: NEW, two: NEW})
        reached = next(numbers) > failing

        assert {one.read_bytes(), two.read_bytes()} <= {OLD, NEW}
        assert hidden(tmp_path) == []
        if not reached:
            break
    assert failing == 12  # 2 files: open, write, sync, rename, open folder, sync folder


@pytest.mark.parametrize("times", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_a_writer_killed_at_any_moment_leaves_whole_files(tmp_path, times):
    """Both files are whole, and the next write removes the killed writer's temporary files."""
    draw = random.Random(0)
    for _ in range(times):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE)
        with writer:
            writer.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.05))
            writer.kill()

        for name in ("one", "two"):
            content = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else b""
            assert content in {b"", b"a" * 200_000, b"b" * 200_000}
        assert len(hidden(tmp_path)) <= 2
        atomic.write({tmp_path / "next": NEW})
        assert hidden(tmp_path) == []


def test_only_abandoned_temporary_files_are_removed(tmp_path):
    """A living writer's temporary file and a user's file with a similar name stay."""
    drafts = [tmp_path / f".writing-{name}" for name in ("draft", "0123456789abcde", "0" * 17)]
    for draft in drafts:
        draft.write_bytes(OLD)
    abandoned = tmp_path / ".writing-0123456789abcdef"
    abandoned.write_bytes(OLD)
    with atomic._staged(tmp_path / "other", OLD) as temporary:  # noqa: SLF001
        atomic.write({tmp_path / "file": NEW})

        assert temporary.read_bytes() == OLD
        assert all(draft.read_bytes() == OLD for draft in drafts)
        assert not abandoned.exists()


def test_a_path_that_leads_to_no_file_is_named_with_the_cause(tmp_path):
    """A missing folder and a loop of links are named as the cause."""
    (tmp_path / "link").symlink_to(tmp_path / "link")

    with pytest.raises(WriteError, match=r"file cannot be written: its folder is not there; the f"):
        atomic.write({tmp_path / "gone" / "file": NEW})
    with pytest.raises(WriteError, match="link cannot be written: Too many levels of symbolic"):
        atomic.write({tmp_path / "link": NEW})


def test_what_is_no_file_is_written_to_as_it_is(tmp_path):
    """A pipe or a device is not replaced by a file."""
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        atomic.write({tmp_path / "pipe": NEW})

        assert reader.stdout.read() == NEW
    assert (tmp_path / "pipe").is_fifo()


def test_a_redirected_stdout_keeps_what_it_holds(tmp_path):
    """Writing to /dev/stdout continues the file that stdout is redirected to."""
    script = (
        "from pathlib import Path; from mnist_mlp import atomic; print('before');"
        "atomic.write({Path('/dev/stdout'): b'written\\n'}); print('after')"
    )
    with (tmp_path / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", script], stdout=log, check=True)

    assert (tmp_path / "log").read_text() == "before\nwritten\nafter\n"


def test_a_replaced_file_keeps_its_permissions_and_the_link_to_it(tmp_path):
    """A replaced file keeps mode and link; a new file gets the user's default mode."""
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "plain").write_bytes(NEW)

    atomic.write({tmp_path / "link": NEW, tmp_path / "new": NEW})

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == NEW
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
