"""Writes files whole or not at all."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path


class OutputError(Exception):
    """A file or folder that cannot be written; the message names it."""


def make_folder(folder: Path) -> None:
    """Make a folder where there is none.

    Raises:
        OutputError: it cannot be made.

    """
    with _naming(folder):
        folder.mkdir(exist_ok=True)


def write(files: Mapping[Path, bytes]) -> None:
    """Write every file to a temporary name in its folder, and then rename them all.

    Raises:
        OutputError: names the file that could not be written.

    """
    with ExitStack() as stack:
        written = {}
        for file, content in files.items():
            with _naming(file):
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(dir=file.parent, prefix=".writing-")
                )
                written[file] = Path(folder) / file.name
                written[file].write_bytes(content)
        for file in files:
            with _naming(file):
                written[file].replace(file)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Name the file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}") from error
