"""Names the cases that a comparison leaves out, since pytest-benchmark passes over them."""

from typing import Any


def left_out(baselines: list[dict[str, Any]], measured: set[str]) -> list[str]:
    """Say, a line each, which cases a baseline or the run lacks.

    Args:
        baselines: saved runs, pytest-benchmark's JSON.
        measured: full names of the cases that this run measured.

    """
    lines = []
    for baseline in baselines:
        saved = {case["fullname"] for case in baseline["benchmarks"]}
        when = baseline["datetime"][:19]
        lines += [f"not in the baseline of {when}: {name}" for name in sorted(measured - saved)]
        lines += [f"not in this run, but in {when}'s: {name}" for name in sorted(saved - measured)]
    return lines
