"""Checks that pytest-benchmark lacks: before the first case, and in a comparison at the end."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.storage.file import FileStorage

from bench.options import obstacle
from mnist_mlp.errors import UserError

GROUPINGS = ("group", "name", "func", "fullname", "fullfunc", "param")
PARAMETER = "param:"

SavedJson = Mapping[str, Any]  # pytest-benchmark's JSON


def refuse_what_fails_at_the_end(
    config: pytest.Config, session: Any, items: Sequence[pytest.Item]
) -> None:
    """Refuse a run that can only fail at its end; `session` is pytest-benchmark's.

    Raises:
        UserError: names the option, and what to do.

    """
    if config.getoption("journal") and config.getoption("resume"):
        raise UserError("--resume goes on with its own journal: leave --journal out")
    if session.compare_fail and not session.compare:
        raise UserError("--benchmark-compare-fail needs a saved run: add --benchmark-compare")
    if session.compare and not session.compared_mapping:
        run = "" if session.compare is True else f" that matches {session.compare!r}"
        raise UserError(
            f"--benchmark-compare finds no saved run{run} in {session.storage}: save one first, "
            "with --benchmark-save=NAME"
        )
    for grouping in session.group_by.split(","):
        _check_grouping(grouping, items)
    if session.histogram and not find_spec("pygal"):
        raise UserError(
            "--benchmark-histogram needs pygal: install pytest-benchmark[histogram], or leave the "
            "option out"
        )
    for option, file in _outputs(session):
        if cause := obstacle(file):
            raise UserError(f"{option}: {file} cannot be written: {cause}; name another place")


def _check_grouping(grouping: str, items: Sequence[pytest.Item]) -> None:
    name = grouping.removeprefix(PARAMETER)
    if name == grouping and name not in GROUPINGS:
        known = f"{', '.join(GROUPINGS)}, {PARAMETER}NAME"
        raise UserError(f"--benchmark-group-by: {name!r} is not a grouping: choose from {known}")
    for item in items if name != grouping else ():
        if name not in getattr(getattr(item, "callspec", None), "params", ()):
            raise UserError(f"--benchmark-group-by: {item.nodeid} has no parameter {name!r}")


def _outputs(session: Any) -> Iterator[tuple[str, Path]]:
    """Yield each place that must be writable after the last case, with its option."""
    if session.json:
        yield "--benchmark-json", session.json
    if (session.save or session.autosave) and isinstance(session.storage, FileStorage):
        yield "--benchmark-storage", session.storage.get("run.json")  # makes the folder
    if session.histogram:  # pytest-benchmark makes the folders above it
        file = Path(f"{session.histogram}.svg")
        first = next(path for path in (file, *file.parents) if path.parent.exists())
        yield "--benchmark-histogram", first


def left_out(baselines: Sequence[SavedJson], measured: set[str]) -> list[str]:
    """Return a line per case that only the saved run, or only this run, has, by full name."""
    lines = []
    for baseline in baselines:
        saved = {case["fullname"] for case in baseline["benchmarks"]}
        when = baseline["datetime"][:19]
        lines += [f"not in the baseline of {when}: {name}" for name in sorted(measured - saved)]
        lines += [f"only in the baseline of {when}: {name}" for name in sorted(saved - measured)]
    return lines


def changed_outcomes(
    baselines: Sequence[SavedJson], measured: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Yield the cases that reached the target in a baseline or in this run, but not in both.

    A training that missed its target has a time that looks like a time to the target. `measured`
    holds the extra_info of this run's cases by full name.
    """
    for baseline in baselines:
        when = baseline["datetime"][:19]
        for case in baseline["benchmarks"]:
            name, before = case["fullname"], case["extra_info"].get("reached")
            now = measured.get(name, {}).get("reached")
            if None not in {before, now} and before != now:
                hit, missed = ("this run", f"the baseline of {when}")[:: 1 if now else -1]
                yield name, f"{hit} reached the target and {missed} did not"
