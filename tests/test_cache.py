import subprocess
import sys

import pytest

from mnist_mlp import cache
from mnist_mlp.errors import UserError

UNPACK = (
    "import sys, pathlib; from mnist_mlp import cache; cache.unpacked(pathlib.Path(sys.argv[1]))"
)


def raw_files(folder):
    """The content of every file below a cache folder, hidden ones included."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def intact(cache_dir):
    """What a cache folder holds after its first use."""
    return raw_files(cache.unpacked(cache_dir))


@pytest.mark.parametrize("name", cache.SHA256_OF_UNPACKED)
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"\xff" + path.read_bytes()[1:]),
        lambda path: path.unlink(),
    ],
    ids=["truncated", "altered", "missing"],
)
def test_a_damaged_cache_is_rebuilt(cache_dir, intact, name, damage):
    """Whatever happened to a file, the next use finds all four intact and nothing else."""
    damage(cache_dir / "MNIST" / "raw" / name)

    cache.unpacked(cache_dir)

    assert raw_files(cache_dir) == intact


@pytest.mark.usefixtures("intact")
def test_an_intact_cache_is_left_alone(cache_dir):
    """A second use writes nothing."""
    times = {path: path.stat().st_mtime_ns for path in cache_dir.rglob("*")}

    cache.unpacked(cache_dir)

    assert {path: path.stat().st_mtime_ns for path in cache_dir.rglob("*")} == times


def test_processes_that_unpack_at_once_agree(tmp_path, intact):
    """Two processes with one empty folder both succeed and leave it intact."""
    command = sys.executable, "-c", UNPACK, str(tmp_path)

    with subprocess.Popen(command) as first, subprocess.Popen(command) as second:
        pass

    assert (first.returncode, second.returncode) == (0, 0)
    assert raw_files(tmp_path) == intact


def test_a_folder_that_cannot_be_made_is_refused_in_a_sentence(tmp_path):
    """The error for a folder that cannot be made says why, and how to choose another."""
    (tmp_path / "file").write_text("")

    with pytest.raises(
        UserError, match=r"file/cache/.*folder is a file.*--cache-dir.*MNIST_MLP_CACHE"
    ):
        cache.unpacked(tmp_path / "file" / "cache")


def test_a_full_disk_is_reported_in_a_sentence_and_leaves_nothing(tmp_path, file_size_limit):
    """On a full disk, no file stays that could not be written to its end."""
    with (
        file_size_limit(1_000_000),
        pytest.raises(UserError, match=r"^the unpacked .* files here may not be that large"),
    ):
        cache.unpacked(tmp_path)

    assert raw_files(tmp_path) == {}


def test_the_environment_chooses_the_folder(monkeypatch, tmp_path):
    """MNIST_MLP_CACHE wins over the platform's folder."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))

    assert cache.default_folder() == tmp_path
