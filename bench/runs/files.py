"""Runs that pytest-benchmark saved: the newest, read, and checked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.runs.case import CaseError, MeasuredCase, from_json
from mnist_mlp.errors import UserError

STORAGE = Path(".benchmarks")  # pytest-benchmark's, where pytest was started
SAVE = "`pytest --benchmark-only --benchmark-autosave`"
REPORTED = ("step", "epoch", "convergence")  # verbs that a report draws

# What decides how fast a run is. Host name and clock frequency differ between equal machines.
MACHINE = (
    *("system", "machine", "python_version", "torch", "torchvision", "blas", "cpu_capability"),
    *("threads", "interop_threads", "logical_cores", "physical_memory_bytes", "gpu"),
)


class SavedRunError(UserError):
    """A file that is no saved run, or lacks the cases that a command needs."""


@dataclass(frozen=True, kw_only=True)
class SavedRun:
    """One saved run."""

    file: Path
    name: str  # of the file; with its folder where two share a name
    when: str
    machine: Mapping[str, str | int | None]  # MACHINE, and "cpu": the processor's name
    cases: Sequence[MeasuredCase]

    @cached_property
    def by_name(self) -> Mapping[str, MeasuredCase]:
        """The cases by full name."""
        return {case.full_name: case for case in self.cases}

    @property
    def physical_memory_bytes(self) -> int | None:
        """Of the machine."""
        found = self.machine["physical_memory_bytes"]
        return found if isinstance(found, int) else None


def newest() -> Path:
    """Find the newest run in pytest-benchmark's storage.

    Raises:
        SavedRunError: there is none.

    """
    files = sorted(STORAGE.rglob("*.json"), key=lambda file: file.stat().st_mtime)
    if not files:
        raise SavedRunError(f"no run is saved in {STORAGE}/: name a file, or make one with {SAVE}")
    return files[-1]


def read(file: Path) -> SavedRun:
    """Read a run of any suite.

    Raises:
        SavedRunError: the file cannot be read, or is no run that pytest-benchmark saved.

    """
    saved = _parsed(file)
    try:
        return SavedRun(
            file=file,
            name=file.name,
            cases=tuple(map(from_json, _benchmarks(saved))),
            when=_when(saved),
            machine=machine_of(saved.get("machine_info")),
        )
    except CaseError as error:
        raise SavedRunError(
            f"{file} is no run that pytest-benchmark saved: {error}; make one with {SAVE}"
        ) from error


def read_reported(files: Sequence[Path]) -> list[SavedRun]:
    """Read runs of this suite, with the cases that a report draws; a file given twice counts once.

    Raises:
        SavedRunError: a file is no saved run, or has no such case.

    """
    files = list(dict.fromkeys(file.resolve() for file in files))
    names = [file.name for file in files]
    return [
        replace(
            _of_this_suite(read(file)),
            name=file.name if names.count(file.name) == 1 else str(file),
        )
        for file in files
    ]


def _of_this_suite(run: SavedRun) -> SavedRun:
    cases = [one for one in run.cases if one.verb in REPORTED]
    for one in cases:
        if not one.engine:
            raise SavedRunError(f"{run.file} holds a case that this suite did not save: {one.name}")
    if not cases:
        raise SavedRunError(
            f"{run.file} holds no step, epoch or training to a target: make a run with {SAVE}"
        )
    return replace(run, cases=cases)


def _parsed(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SavedRunError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SavedRunError(f"{file} is not JSON: {error}") from error


def _benchmarks(saved: Any) -> list[Any]:
    found = saved.get("benchmarks") if isinstance(saved, dict) else None
    if not isinstance(found, list):
        raise CaseError("it has no list of benchmarks")
    return found


def _when(saved: Mapping[str, Any]) -> str:
    when = saved.get("datetime")
    if not isinstance(when, str) or not when.isprintable():
        raise CaseError("it has no datetime")
    return when


def machine_of(info: Any) -> dict[str, str | int | None]:
    """Pick what decides how fast a machine is from pytest-benchmark's description of it.

    Raises:
        CaseError: it is no description.

    """
    if not isinstance(info, dict):
        raise CaseError("it has no machine_info")
    cpu = info.get("cpu")
    described = {key: info.get(key) for key in MACHINE}
    described["cpu"] = cpu.get("brand_raw") if isinstance(cpu, dict) else None
    return {key: value if _is_plain(value) else None for key, value in described.items()}


def _is_plain(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.isprintable())
