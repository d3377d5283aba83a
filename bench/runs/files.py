"""Runs that pytest-benchmark saved, checked before anything is made of them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.answer.time_model import Benchmarks

STORAGE = Path(".benchmarks")  # pytest-benchmark's, where pytest was started
NUMBER = (int, float)
EVERY_CASE: dict[str, Any] = {"engine": str, "batch_size": int}
TIMED = EVERY_CASE | {"samples_per_second": NUMBER, "peak_memory_bytes": NUMBER}
TRAINED = EVERY_CASE | {
    "learning_rate": NUMBER,
    "seed": int,
    "steps": int,
    "reached": bool,
    "diverged": bool,
    "test_accuracy": NUMBER,
    "target_accuracy": NUMBER,
    "max_epochs": NUMBER,
}
# What a report reads of each verb's extra_info: key -> its type.
VERBS = {"test_step": TIMED, "test_epoch": TIMED, "test_convergence": TRAINED}
WHERE_THERE_IS: dict[str, Any] = {"lr_rule": str, "trace": list, "peak_cuda_bytes": NUMBER}


class SavedRunError(Exception):
    """A file that no report can be made of; says why in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One saved run."""

    name: str
    when: str
    machine: Mapping[str, Any]
    cases: Benchmarks  # steps, epochs and training to the target; others are left out


def newest() -> Path:
    """The newest run in pytest-benchmark's storage.

    Raises:
        SavedRunError: there is none.

    """
    files = sorted(STORAGE.rglob("*.json"), key=lambda file: file.stat().st_mtime)
    if not files:
        raise SavedRunError(
            f"no run is saved in {STORAGE}/: name a file, or make one with "
            "`pytest --benchmark-only --benchmark-autosave`"
        )
    return files[-1]


def read_all(files: Sequence[Path]) -> list[Run]:
    """Read runs, each named by its file, with the folder where two files share a name.

    Raises:
        SavedRunError: a file is missing, is no saved run, or has no case of this suite.

    """
    files = list(dict.fromkeys(file.resolve() for file in files))
    names = [file.name for file in files]
    return [
        _read(file, name=file.name if names.count(file.name) == 1 else str(file)) for file in files
    ]


def _read(file: Path, *, name: str) -> Run:
    saved = _parsed(file)
    if not (
        isinstance(saved, dict)
        and isinstance(saved.get("machine_info"), dict)
        and isinstance(saved.get("benchmarks"), list)
    ):
        raise SavedRunError(f"{file} is no run that pytest-benchmark saved")
    try:
        cases = [case for case in saved["benchmarks"] if _verb(case) in VERBS]
        for case in cases:
            _check(case)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SavedRunError(f"{file} holds a case that this suite did not save: {error}") from error
    if not cases:
        raise SavedRunError(
            f"{file} holds no step, epoch or training to a target: save a run with "
            "`pytest --benchmark-only --benchmark-autosave`"
        )
    when = str(saved.get("datetime", "unknown"))
    return Run(name=name, when=when, machine=saved["machine_info"], cases=cases)


def _parsed(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SavedRunError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SavedRunError(f"{file} is not JSON: {error}") from error


def _verb(case: Mapping[str, Any]) -> str:
    return str(case["name"]).partition("[")[0]


def _check(case: Mapping[str, Any]) -> None:
    """Refuse a case that lacks what is read of it."""
    info, median = case["extra_info"], case["stats"]["median"]
    present = {key: kind for key, kind in WHERE_THERE_IS.items() if info.get(key) is not None}
    for key, kind in (VERBS[_verb(case)] | present).items():
        if not isinstance(info.get(key), kind):
            raise TypeError(f"{key} of {case['name']} is {info.get(key)!r}")
    if info["batch_size"] < 1 or not (0 < median < math.inf):
        raise ValueError(f"{case['name']} took {median} s")
    for seconds, steps, accuracy in info.get("trace") or []:
        if not all(isinstance(value, NUMBER) for value in (seconds, steps, accuracy)):
            raise TypeError(f"the trace of {case['name']} holds more than numbers")
