"""Cases that were timed while others had the machine: marked in tables, counted in a sentence."""

from collections.abc import Sequence

from bench.runs.case import MeasuredCase
from bench.units import seconds

MARK = "*"


def mark(cases: Sequence[MeasuredCase]) -> str:
    """Mark a number that disturbed cases have a part in."""
    return f" {MARK}" if any(case.disturbed for case in cases) else ""


def marked(case: MeasuredCase | None) -> str:
    """Write a case's seconds, with a mark where it was disturbed."""
    return seconds(case.seconds) + mark([case]) if case else seconds(None)


def sentences(cases: Sequence[MeasuredCase]) -> list[str]:
    """Say how many of the cases were disturbed, and by what the first of them was."""
    watched = [case for case in cases if case.disturbed is not None]
    found = [case for case in watched if case.disturbed]
    if not watched:
        return []
    if not found:
        return [f"None of {len(watched)} cases was disturbed by other processes."]
    sentence = (
        f"{len(found)} of {len(watched)} cases were disturbed, and their times mean little ({MARK} "
        f"in a table): {found[0].name}, for one, since {found[0].disturbed}. --rerun-disturbed=1 "
        "runs such cases again at the end."
    )
    return [sentence]
