"""The server that forks the processes of all versions, so that they share its memory layout.

It imports the modules that all versions import from the same files, and then forks. Each fork
collects in its own tree with its own conftest, and serves the gate.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import sys
import traceback
from contextlib import suppress
from importlib.machinery import PathFinder
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import pytest

from .channel import Channel
from .plugin import Plugin

LARGEST_OFFSET_BYTES = 1 << 16


def main(settings_as_json: str) -> None:
    """Serve the gate at the other end of the connection until it is gone."""
    settings: dict[str, Any] = json.loads(settings_as_json)
    del sys.argv[1:]
    gate = Channel(Connection(settings["connection"]))
    for request in gate.requests():
        if request["do"] == "import":
            for name in request["modules"]:
                with suppress(Exception):  # some modules cannot be imported by themselves
                    importlib.import_module(name)
            gc.collect()
            gc.freeze()  # garbage collection in forks skips the imported modules
            gate.send(imported=sorted({name.partition(".")[0] for name in sys.modules}))
        elif request["do"] == "fork":
            connection = Connection(reduction.recv_handle(gate.connection))
            process = os.fork()
            if process == 0:
                gate.connection.close()  # the gate must notice the end of the server
                _become(request, connection, settings["arguments"])
            connection.close()
            gate.send(process=process)
        else:  # "reap": tell how a fork ended
            _, status = os.waitpid(request["process"], 0)
            killed = os.WIFSIGNALED(status)
            gate.send(code=-os.WTERMSIG(status) if killed else os.WEXITSTATUS(status))


def _become(request: dict[str, Any], connection: Connection, arguments: list[str]) -> None:
    """Be a version's process in this fork until the gate is gone; never return."""
    try:
        channel = Channel(connection)
        os.setpgid(0, 0)  # the gate ends the whole group, with all that a case leaves behind
        _redirect(request["output"])
        os.chdir(request["tree"])
        import_first(request["folders"])
        rng = random.Random(request["seed"])
        # Forks inherit the addresses of their parent's data: a random offset moves each fork's own.
        offset = bytearray(rng.randrange(LARGEST_OFFSET_BYTES))
        code = int(pytest.main(arguments, plugins=[Plugin(channel)]))
        del offset
    except BaseException:  # noqa: BLE001 - a fork must never go on as its parent
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def import_first(folders: list[str]) -> None:
    """Import from some folders before all others, whatever pytest or an editable install says."""

    class Finder:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
            spec = PathFinder.find_spec(name, folders, target) if path is None else None
            return spec if spec and spec.origin else None  # skips a namespace package

    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    sys.meta_path.insert(0, Finder)


def _redirect(output: str) -> None:
    """Redirect output to a file, and input from nothing."""
    sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
