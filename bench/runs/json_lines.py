"""JSON Lines files that grow line by line, and survive a killed process."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnist_mlp.atomic import Appender
from mnist_mlp.errors import UserError


class Writer:
    """Appends lines to a file that no other process writes at the same time.

    An incomplete last line is removed first, so that the next line stands by itself.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._log = Appender(file)
        self._log.mend()

    def append(self, line: Mapping[str, Any]) -> None:
        """Append a line, and sync it; if that fails, the earlier lines are intact."""
        self._log.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Let other processes write the file."""
        self._log.close()


def read(file: Path) -> list[dict[str, Any]]:
    """Read a file's complete lines; an incomplete last line or a missing file adds none."""
    *whole, _ = content_of(file).split(b"\n") if file.exists() else [b""]
    lines = []
    for number, line in enumerate(whole, 1):
        lines.append(parsed(line, f"line {number} of {file}"))
        if not isinstance(lines[-1], dict):
            raise UserError(f"line {number} of {file} is not a JSON object")
    return lines


def is_torn(file: Path) -> bool:
    """Whether the file's last line is incomplete."""
    return file.exists() and not file.read_bytes().endswith(b"\n")


def content_of(file: Path) -> bytes:
    """Read a file, or say why that is not possible."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error


def parsed(text: bytes, name: str) -> Any:
    """Parse JSON, or say why that is not possible."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is not JSON: {error}") from error
