"""Lets pytest-benchmark write its runs as everything here is written: whole or not at all."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import safe_dumps

from mnist_mlp import atomic
from mnist_mlp.atomic import WriteError


class Saving:
    """Stands in for the two methods of pytest-benchmark that write a run to a file."""

    def __init__(self, session: Any) -> None:
        self.failures: list[str] = []  # what could not be written, and why
        self._session = session  # pytest-benchmark's
        vars(session)["save_json"] = partial(self._write, Path(session.json or ""))
        if isinstance(session.storage, FileStorage):
            vars(session.storage)["save"] = self._store

    def _store(self, run: Mapping[str, Any], name: str) -> None:
        storage = self._session.storage
        self._write(storage.get(f"{storage._next_num}_{name}.json"), run)  # noqa: SLF001

    def _write(self, file: Path, run: Mapping[str, Any]) -> None:
        try:
            atomic.write({file: safe_dumps(run, ensure_ascii=True, indent=4).encode()})
        except WriteError as error:
            self.failures.append(str(error))
            return
        text = f"Wrote benchmark data in: {file}"
        self._session.logger.info(text)
