"""What pytest-benchmark's comparison passes over: cases left out, and targets missed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SavedJson = Mapping[str, Any]  # pytest-benchmark's JSON


def left_out(baselines: Sequence[SavedJson], measured: set[str]) -> list[str]:
    """Return a line for each case that a baseline or the run lacks.

    Args:
        baselines: saved runs.
        measured: full names of the cases that this run measured.

    """
    lines = []
    for baseline in baselines:
        saved = {case["fullname"] for case in baseline["benchmarks"]}
        when = baseline["datetime"][:19]
        lines += [f"not in the baseline of {when}: {name}" for name in sorted(measured - saved)]
        lines += [f"not in this run, but in {when}'s: {name}" for name in sorted(saved - measured)]
    return lines


def changed_outcomes(
    baselines: Sequence[SavedJson], measured: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Yield the cases that reached the target in a baseline or in this run, but not in both.

    A training that missed its target has a time that looks like a time to the target.

    Args:
        baselines: saved runs.
        measured: full name -> extra_info of the cases that this run measured.

    """
    for baseline in baselines:
        when = baseline["datetime"][:19]
        for case in baseline["benchmarks"]:
            name, before = case["fullname"], case["extra_info"].get("reached")
            now = measured.get(name, {}).get("reached")
            if None not in {before, now} and before != now:
                who, whom = ("this run", f"the baseline of {when}")[:: 1 if now else -1]
                yield name, f"{who} reached the target and {whom} did not"
