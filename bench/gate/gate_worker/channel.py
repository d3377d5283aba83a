"""Lines of JSON over a socket, one request and one answer at a time."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any


class SilenceError(Exception):
    """The other end did not answer in time."""


class Channel:
    """One end of a conversation; `patience_seconds` is how long it waits for an answer."""

    def __init__(self, connection: socket.socket, *, patience_seconds: float | None = None) -> None:
        self._connection = connection
        self._connection.settimeout(patience_seconds)
        self._lines = connection.makefile("rb")
        self._process = os.getpid()

    @classmethod
    def to(cls, address: str) -> Channel:
        """Connect to who listens at a path."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        return cls(connection)

    def send(self, **fields: object) -> None:
        """Send one line."""
        if os.getpid() != self._process:
            os._exit(0)  # a fork that a case made came back into the gate's own code
        self._connection.sendall(json.dumps(fields).encode() + b"\n")

    def receive(self) -> dict[str, Any] | None:
        """Wait for the next line; None where the other end has gone.

        Raises:
            SilenceError: it did not come in time.

        """
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise SilenceError from None
        except ConnectionResetError:
            return None
        if not line.endswith(b"\n"):
            return None
        fields: dict[str, Any] = json.loads(line)
        return fields

    def requests(self) -> Iterator[dict[str, Any]]:
        """Each line, until the other end has gone."""
        while True:
            fields = self.receive()
            if fields is None:
                return
            yield fields

    def close(self) -> None:
        """End the conversation."""
        self._lines.close()
        self._connection.close()
