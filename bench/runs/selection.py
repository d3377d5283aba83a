"""From measured cases to numbers by batch size."""

import math
from collections.abc import Iterable, Sequence

from bench.runs.case import MeasuredCase


def of_verb(
    cases: Iterable[MeasuredCase], verb: str, engine: str | None = None
) -> list[MeasuredCase]:
    """Return the cases of a verb, of one engine or of all, from the smallest batch size up."""
    found = [case for case in cases if case.verb == verb and engine in {None, case.engine}]
    return sorted(found, key=lambda case: case.batch_size)


def engines(cases: Iterable[MeasuredCase]) -> list[str]:
    """Name the engines in the order in which they ran."""
    return list(dict.fromkeys(case.engine for case in cases))


def step_seconds(cases: Sequence[MeasuredCase], engine: str) -> dict[int, float]:
    """Median seconds of a step: an epoch's over its steps, else of a step case.

    Training runs as epochs do: batches gathered, and several small steps a call where that pays.
    """
    found = {case.batch_size: case.seconds for case in of_verb(cases, "step", engine)}
    for case in of_verb(cases, "epoch", engine):
        if case.batch_size > case.samples:
            continue  # one step of fewer samples
        found[case.batch_size] = case.seconds / math.ceil(case.samples / case.batch_size)
    return dict(sorted(found.items()))


def peak_bytes(cases: Sequence[MeasuredCase], engine: str) -> dict[int, float]:
    """Peak memory of epochs."""
    return {case.batch_size: case.peak_memory_bytes for case in of_verb(cases, "epoch", engine)}
