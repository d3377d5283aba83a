"""Finds, reads and checks runs that pytest-benchmark saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.runs import json_lines
from bench.runs.case import MeasuredCase, from_json
from mnist_mlp.errors import UserError

STORAGE = Path(".benchmarks")  # pytest-benchmark's storage, in the folder where pytest started
SAVE = "`pytest --benchmark-only --benchmark-autosave`"
REPORTED = ("step", "epoch", "convergence")  # verbs that tables and figures show

# Fields that decide how fast a run is -> their names in a report. Host names and clock frequencies
# are left out: they differ between equal machines.
MACHINE = {
    "cpu": "processor",  # pytest-benchmark stores several fields there; this one is its name
    "physical_memory_bytes": "memory",
    "gpu": "GPU",
    "logical_cores": "logical cores",
    "system": "system",
    "machine": "architecture",
    "python_version": "Python",
    "torch": "torch",
    "torchvision": "torchvision",
    "blas": "matrix products",
    "cpu_capability": "instructions",
    "threads": "threads",
    "interop_threads": "threads between operations",
}


@dataclass(frozen=True, kw_only=True)
class SavedRun:
    """One saved run."""

    file: Path
    when: str  # date and time in ISO format
    commit: str  # short id of the measured code's commit; "+" follows if files were changed
    machine: Mapping[str, str | int | None]  # key of MACHINE -> value
    cases: Sequence[MeasuredCase]

    @property
    def physical_memory_bytes(self) -> int | None:
        """Memory of the machine."""
        memory_bytes = self.machine["physical_memory_bytes"]
        return memory_bytes if isinstance(memory_bytes, int) else None


def newest() -> Path:
    """Find the newest run in pytest-benchmark's storage."""
    files = sorted(STORAGE.rglob("*.json"), key=lambda file: file.stat().st_mtime)
    if not files:
        raise UserError(f"no run is saved in {STORAGE}/: name a file, or make one with {SAVE}")
    return files[-1]


def read(file: Path) -> SavedRun:
    """Read a run of any suite."""
    saved = json_lines.parsed(json_lines.content_of(file), str(file))
    reason = "it lacks a list of benchmarks, a datetime or machine_info"
    try:
        match saved:
            case {"benchmarks": [*cases], "datetime": str(when), "machine_info": info} if (
                when.isprintable()
            ):
                return SavedRun(
                    file=file,
                    when=when,
                    commit=_commit_of(saved.get("commit_info")),
                    machine=machine_of(info),
                    cases=[*map(from_json, cases)],
                )
    except UserError as error:
        reason = str(error)
    raise UserError(
        f"{file} is not a run that pytest-benchmark saved: {reason}; make one with {SAVE}"
    )


def read_reported(files: Sequence[Path]) -> dict[str, SavedRun]:
    """Read runs of this suite by name, the newest first, without cases that no report draws.

    Each file is read once. A run is named by its file, and by its folder where two files share a
    name.
    """
    files = list(dict.fromkeys(file.resolve() for file in files))
    names = [file.name for file in files]
    runs = [_of_this_suite(read(file)) for file in files]
    return {
        run.file.name if names.count(run.file.name) == 1 else str(run.file): run
        for run in sorted(runs, key=lambda run: run.when, reverse=True)
    }


def _of_this_suite(run: SavedRun) -> SavedRun:
    cases = [case for case in run.cases if case.verb in REPORTED]
    for case in cases:
        if not case.engine:
            raise UserError(f"{run.file} holds a case that this suite did not save: {case.name}")
    if not cases:
        raise UserError(
            f"{run.file} holds no step, epoch or training to a target: make a run with {SAVE}"
        )
    return replace(run, cases=cases)


def machine_of(info: Any) -> dict[str, str | int | None]:
    """Pick what decides how fast a machine is from pytest-benchmark's description of it."""
    if not isinstance(info, dict):
        raise UserError("its machine_info describes no machine")
    cpu = info.get("cpu")
    fields = {key: info.get(key) for key in MACHINE}
    fields["cpu"] = cpu.get("brand_raw") if isinstance(cpu, dict) else None
    return {key: value if _is_plain(value) else None for key, value in fields.items()}


def _commit_of(info: Any) -> str:
    """Shorten the commit that pytest-benchmark describes; empty outside a repository."""
    match info:
        case {"id": str(commit), **more} if commit.isalnum():
            return commit[:7] + "+" * bool(more.get("dirty"))
    return ""


def _is_plain(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.isprintable())
