"""Writes numbers with units, and tables and sentences in at most 100 columns."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Protocol

THOUSAND = 1000
WIDTH = 100  # characters per line
GAP = "  "  # separates the columns of a table, and indents continuation lines
WIDEST = 10  # factor from a value to an end of its interval beyond which the value is unknown
SECONDS_IN_WORDS = 120
UNITS = (("s", 1), ("ms", 1e-3), ("us", 1e-6))


def seconds(value: float | None) -> str:
    """Write three significant digits, in the largest unit that is not above the value."""
    if value is None:
        return "-"
    rounded = float(f"{value:.3g}")
    if rounded >= THOUSAND:
        return f"{rounded:,.0f} s"
    unit, size = next(pair for pair in UNITS if rounded >= pair[1] or pair is UNITS[-1])
    return f"{rounded / size:.3g} {unit}"


def duration(seconds: float) -> str:
    """Write whole minutes; below two minutes, whole seconds."""
    return f"{seconds:.0f} s" if seconds < SECONDS_IN_WORDS else f"{seconds / 60:.0f} min"


def counted(number: int, noun: str) -> str:
    """Write "1 case", "2 cases"."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def gigabytes(value: float) -> str:
    """Write whole gigabytes, since a machine's memory is not known more precisely."""
    return f"{value / 1e9:.0f} GB"


def two_digits(value: float) -> str:
    """Write two significant digits."""
    return f"{float(f'{value:.2g}'):,.12g}"


def listed(items: Sequence[object]) -> str:
    """Join at least one item: "1, 4 and 16"."""
    *others, last = map(str, items)
    return f"{', '.join(others)} and {last}" if others else last


def megabytes(value: float) -> str:
    """Write megabytes with one decimal."""
    return f"{value / 1e6:,.1f} MB"


def per_cent(share: float) -> str:
    """Write whole per cents: 0.1 is "10 %"."""
    return f"{100 * share:.0f} %"


class Interval(Protocol):
    """A value above 0 and the interval around it."""

    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


def is_known(interval: Interval) -> bool:
    """Whether both ends are within a factor of ten of the value."""
    return interval.low * WIDEST >= interval.value and interval.high <= interval.value * WIDEST


def estimate(interval: Interval, write: Callable[[float], str] = two_digits) -> str:
    """Write a value with its interval, "24 (20 to 29)", if the interval is narrow enough."""
    if not is_known(interval):
        return "cannot be told from this run"
    return f"{write(interval.value)} ({write(interval.low)} to {write(interval.high)})"


def table(title: str, columns: Sequence[Sequence[str]]) -> list[str]:
    """Lay out columns, each with its heading first, below a title.

    Columns that do not fit continue in a block below, which repeats the first column.
    """
    first, *others = [[cell.rjust(max(map(len, column))) for cell in column] for column in columns]
    blocks = [[first]]
    for column in others:
        if len(GAP.join(part[0] for part in [*blocks[-1], column])) > WIDTH:
            blocks.append([first])
        blocks[-1].append(column)
    rows = [GAP.join(row) for block in blocks for row in zip(*block, strict=True)]
    return [*wrapped(title), *rows]


def wrapped(sentence: str) -> list[str]:
    """Break a sentence into lines; all but the first are indented."""
    return textwrap.wrap(sentence, WIDTH, subsequent_indent=GAP, break_on_hyphens=False)
