"""JSON Lines files that grow by a line at a time, and outlast a killed process."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnist_mlp import atomic
from mnist_mlp.errors import UserError


class JsonLinesError(UserError):
    """A file that cannot be read, or holds something else; the message says what."""


def read(file: Path) -> list[dict[str, Any]]:
    """Read a file's complete lines; none where there is no file. What follows the last is left out.

    Raises:
        JsonLinesError: it cannot be read, or a line is not a JSON object.

    """
    try:
        *whole, _ = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JsonLinesError(f"it cannot be read: {error.strerror}") from error
    return [_object(line, number) for number, line in enumerate(whole, 1)]


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JsonLinesError(f"line {number} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise JsonLinesError(f"line {number} is not a JSON object")
    return found


def is_torn(file: Path) -> bool:
    """Whether the file's last line was never finished."""
    return file.exists() and not file.read_bytes().endswith(b"\n")


def mend(file: Path) -> None:
    """Take a torn line off the end of a file that was read, so that the next one stands alone.

    Raises:
        WriteError: it is still there.

    """
    content = file.read_bytes()
    if not content.endswith(b"\n"):
        atomic.shorten(file, content.rfind(b"\n") + 1)


def append(file: Path, line: Mapping[str, Any]) -> None:
    """Add a line, and sync it.

    Raises:
        WriteError: the line is not there; those before it are.

    """
    atomic.append(file, json.dumps(line, separators=(",", ":")).encode() + b"\n")
