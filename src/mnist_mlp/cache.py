"""The embedded MNIST archives, unpacked once into a cache folder and verified at every use."""

import gzip
import hashlib
import os
from importlib import resources
from pathlib import Path

import platformdirs

from mnist_mlp import atomic
from mnist_mlp.atomic import WriteError
from mnist_mlp.errors import UserError

CACHE_VARIABLE = "MNIST_MLP_CACHE"

SHA256_OF_UNPACKED = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
UNPACKED_MEGABYTES = 55


def default_folder() -> Path:
    """Return the folder that MNIST_MLP_CACHE names, or the platform's own place for caches."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("mnist-mlp")


def unpacked(folder: Path) -> Path:
    """Make `folder` hold the four IDX files in torchvision's layout, each intact, and return it.

    Two processes may unpack at once: both write the same bytes.

    Raises:
        UserError: the folder cannot be read or written.

    """
    raw = folder / "MNIST" / "raw"
    try:
        atomic.make_folder(raw)
        for name, sha256 in SHA256_OF_UNPACKED.items():
            if not _is_intact(raw / name, sha256):
                atomic.write({raw / name: _archive(name)})
    except WriteError as error:
        raise UserError(
            f"the unpacked MNIST file {error}: use --cache-dir or {CACHE_VARIABLE} to name a "
            f"folder with {UNPACKED_MEGABYTES} MB free"
        ) from error
    return folder


def _is_intact(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:  # the caller writes the file, or reports why it cannot
        return False


def _archive(name: str) -> bytes:
    archive = resources.files("mnist_mlp") / "mnist" / f"{name}.gz"
    return gzip.decompress(archive.read_bytes())
