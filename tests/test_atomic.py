"""Files are written whole or not at all, whatever happens in between."""

import errno
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from bench.runs import json_lines
from mnist_mlp import atomic
from mnist_mlp.atomic import WriteError

OLD, NEW = b"old" * 50, b"new!" * 50

# Writes two files again and again, whole ones of one letter each.
WRITER = """
import sys
from pathlib import Path
from mnist_mlp import atomic
folder = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in b"ab":
        content = bytes([letter]) * 200_000
        atomic.write({folder / "one": content, folder / "two": content})
        atomic.append(folder / "log", bytes([letter]) * 100 + b"\\n")
"""


def hidden(folder):
    """Temporary files that were left behind."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.fixture
def limited():
    """Set how large a file may become: the kernel then writes as much as fits, and fails."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    signal.signal(signal.SIGXFSZ, before)


def test_a_disk_that_is_full_after_any_number_of_bytes_leaves_the_old_files(tmp_path, limited):
    """Of the first file and of the second; nothing else is left."""
    for size in range(len(NEW)):
        one, two = tmp_path / "one", tmp_path / "two"
        one.write_bytes(OLD)
        limited(size)
        with pytest.raises(WriteError, match="one cannot be written: files here may not be that"):
            atomic.write({one: NEW, two: OLD})
        limited(resource.RLIM_INFINITY)

        assert one.read_bytes() == OLD
        assert sorted(tmp_path.iterdir()) == [one]


def test_a_line_that_does_not_fit_is_taken_off_again(tmp_path, limited):
    """And the next one is whole."""
    log = tmp_path / "log"
    for size in range(30):
        log.write_bytes(b"first\n")
        limited(size + len(b"first\n"))
        with pytest.raises(WriteError, match=r"log cannot be written: .*old content is unchanged"):
            atomic.append(log, b"x" * 30 + b"\n")
        limited(resource.RLIM_INFINITY)

        assert log.read_bytes() == b"first\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_call_of_the_system_that_fails_leaves_whole_files(tmp_path, monkeypatch, code):
    """Whichever call it is: each file is the old or the new one, and nothing else is there."""
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
    assert failing == 12  # of each file: to open, write, sync, rename, and two for its folder


def test_a_writer_killed_at_any_moment_leaves_whole_files(tmp_path):
    """And the next write removes what it left; 20 times here, 100 in the proofs."""
    kill_writers(tmp_path, times=20)


@pytest.mark.slow
def test_100_writers_killed_at_any_moment_leave_whole_files(tmp_path):
    """As the short one."""
    kill_writers(tmp_path, times=100)


def kill_writers(folder, *, times):
    """Kill one writer after another at a random moment, and look at what is there."""
    draw = random.Random(0)
    for _ in range(times):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE)
        with writer:
            writer.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.05))
            writer.kill()

        for name in ("one", "two"):
            content = (folder / name).read_bytes() if (folder / name).exists() else b""
            assert content in {b"", b"a" * 200_000, b"b" * 200_000}
        assert len(hidden(folder)) <= 2
        atomic.write({folder / "next": NEW})
        assert hidden(folder) == []


def test_the_temporary_files_of_a_writer_at_work_are_left_alone(tmp_path):
    """Two may write to a folder at once."""
    with atomic._staged(tmp_path / "other", OLD) as temporary:  # noqa: SLF001
        atomic.write({tmp_path / "file": NEW})

        assert temporary.read_bytes() == OLD


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_only_read_is_named(tmp_path):
    """With the cause, and what is there."""
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(WriteError, match="file cannot be written: this user may not"):
            atomic.write({tmp_path / "file": NEW})
    finally:
        tmp_path.chmod(0o755)


def test_a_folder_that_is_gone_is_named(tmp_path):
    """Removed before the write, or while it lasts."""
    with pytest.raises(WriteError, match=r"file cannot be written: its folder is not there; the f"):
        atomic.write({tmp_path / "gone" / "file": NEW})


def test_a_link_is_followed_and_keeps_being_one(tmp_path):
    """What it points to is replaced."""
    (tmp_path / "link").symlink_to(tmp_path / "file")

    atomic.write({tmp_path / "link": NEW})

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == NEW


def test_what_is_no_file_is_written_to_as_it_is(tmp_path):
    """A pipe or a device is not replaced by a file."""
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        atomic.write({tmp_path / "pipe": NEW})

        assert reader.stdout.read() == NEW
    assert (tmp_path / "pipe").is_fifo()


def test_a_redirected_stdout_keeps_what_it_holds(tmp_path):
    """Though /dev/stdout is then a link to a file."""
    script = (
        "from pathlib import Path; from mnist_mlp import atomic; print('before');"
        "atomic.write({Path('/dev/stdout'): b'written\\n'}); print('after')"
    )
    with (tmp_path / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", script], stdout=log, check=True)

    assert (tmp_path / "log").read_text() == "before\nwritten\nafter\n"


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    """A secret stays one."""
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "file").chmod(0o600)

    atomic.write({tmp_path / "file": NEW})

    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_loop_of_links_is_named(tmp_path):
    """It leads to no file."""
    (tmp_path / "link").symlink_to(tmp_path / "link")

    with pytest.raises(WriteError, match="link cannot be written: Too many levels of symbolic"):
        atomic.write({tmp_path / "link": NEW})


def test_a_new_file_has_the_permissions_that_the_user_gives_files(tmp_path):
    """Others may read it where they may read other files."""
    atomic.write({tmp_path / "file": NEW})
    (tmp_path / "plain").write_bytes(NEW)

    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("torn", [b'{"a": 1', b"", b"\xff", b"}"])
def test_a_torn_last_line_is_dropped(tmp_path, torn):
    """And the next one stands on its own."""
    file = tmp_path / "lines.jsonl"
    json_lines.append(file, {"a": 1})
    with file.open("ab") as end:
        end.write(torn)

    assert json_lines.read(file) == [{"a": 1}]
    json_lines.mend(file)
    json_lines.append(file, {"a": 2})
    assert json_lines.read(file) == [{"a": 1}, {"a": 2}]
