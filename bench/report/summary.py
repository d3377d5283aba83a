"""A run as it is printed when it ends: a table for each engine, then the answer."""

from collections.abc import Sequence

import psutil

from bench.report import answer, tables
from bench.report.tables import LeftOut
from bench.runs.case import MeasuredCase
from bench.units import counted, wrapped

MOST_LINES = (
    56  # lines of tables and answer together, if the answer then has the fewest lines below
)
FEWEST_ANSWER_LINES, MOST_ANSWER_LINES = 15, 25


def render(
    cases: Sequence[MeasuredCase], *, left_out: Sequence[LeftOut] = (), details: bool = False
) -> str:
    """Lay out tables and sentences as text of at most 100 columns.

    Args:
        cases: the cases of one run.
        left_out: the cases that were not measured.
        details: more columns in the tables, and an answer as long as it may be.

    """
    lines = tables.of_engines(cases, left_out, details=details) + tables.reasons(left_out)
    sentences = answer.sentences(cases, psutil.virtual_memory().total)
    paragraphs = [wrapped(sentence) for sentence in sentences]
    if not details:
        room = MOST_LINES - len(lines)
        if not FEWEST_ANSWER_LINES <= room <= MOST_ANSWER_LINES:
            room = MOST_ANSWER_LINES
        paragraphs = _shortened(paragraphs, room)
    return "\n".join([*lines, "", *(line for part in paragraphs for line in part)])


def _shortened(paragraphs: Sequence[list[str]], most_lines: int) -> list[list[str]]:
    """Leave out the last paragraphs if there is no room for them, and count them."""
    kept = list(paragraphs)
    while sum(map(len, kept)) + (len(kept) < len(paragraphs)) > most_lines:
        kept.pop()
    if rest := len(paragraphs) - len(kept):
        kept.append([f"-v prints {counted(rest, 'more sentence')}."])
    return kept
