"""JSON Lines files that grow by a line at a time, and outlast a killed process."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnist_mlp import atomic


class JsonLinesError(Exception):
    """A file that cannot be read, or holds something else; the message says what."""


def read(file: Path) -> list[dict[str, Any]]:
    """Read a file's whole lines; none where there is no file. What follows the last one is torn.

    Raises:
        JsonLinesError: it cannot be read, or its lines are no objects.

    """
    try:
        *whole, _ = file.read_bytes().split(b"\n")
        lines = [json.loads(line) for line in whole]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JsonLinesError(f"it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise JsonLinesError(str(error)) from error
    if not all(isinstance(line, dict) for line in lines):
        raise JsonLinesError("its lines are no objects")
    return lines


def is_torn(file: Path) -> bool:
    """Whether the file's last line was never finished."""
    return file.exists() and not file.read_bytes().endswith(b"\n")


def mend(file: Path) -> None:
    """Take a torn line off the end of a file that was read, so that the next one stands alone."""
    content = file.read_bytes()
    if not content.endswith(b"\n"):
        os.truncate(file, content.rfind(b"\n") + 1)


def append(file: Path, line: Mapping[str, Any]) -> None:
    """Add a line, and sync it.

    Raises:
        WriteError: the line is not there; those before it are.

    """
    atomic.append(file, json.dumps(line, separators=(",", ":")).encode() + b"\n")
