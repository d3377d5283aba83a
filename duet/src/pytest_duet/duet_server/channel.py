"""Messages of JSON over a pipe, one request and one answer at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

# Figures that a case may store in `extra_info` for the gate to compare.
PEAK_MEMORY = "peak_memory_bytes"
LOSSES = "losses"  # numbers that the code computes from a fixed seed


class Channel:
    """One end of a conversation."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._process = os.getpid()

    def send(self, **fields: object) -> None:
        """Send one message."""
        if os.getpid() != self._process:
            os._exit(0)  # this process is a fork that a case made
        self.connection.send_bytes(json.dumps(fields).encode())

    def receive(self) -> dict[str, Any]:
        """Wait for the next message; raise EOFError or OSError if the other end is gone."""
        fields: dict[str, Any] = json.loads(self.connection.recv_bytes())
        return fields

    def requests(self) -> Iterator[dict[str, Any]]:
        """Yield each message until the other end is gone."""
        with suppress(EOFError, OSError):
            while True:
                yield self.receive()
