"""Numbers with their units, for tables and sentences."""

from collections.abc import Sequence

THOUSAND = 1000
SECONDS_IN_WORDS = 120
UNITS = (("s", 1), ("ms", 1e-3), ("us", 1e-6))


def seconds(value: float | None) -> str:
    """Three significant digits, in the unit that suits."""
    if value is None:
        return "-"
    rounded = float(f"{value:.3g}")
    if rounded >= THOUSAND:
        return f"{rounded:,.0f} s"
    unit, size = next(pair for pair in UNITS if rounded >= pair[1] or pair is UNITS[-1])
    return f"{rounded / size:.3g} {unit}"


def duration(seconds: float) -> str:
    """Whole minutes, or whole seconds below two."""
    return f"{seconds:.0f} s" if seconds < SECONDS_IN_WORDS else f"{seconds / 60:.0f} min"


def counted(number: int, noun: str) -> str:
    """Write "1 case", "2 cases"."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def gigabytes(value: float) -> str:
    """Whole ones, since a machine's memory is never known closer."""
    return f"{value / 1e9:.0f} GB"


def two_digits(value: float) -> str:
    """Two significant digits."""
    return f"{float(f'{value:.2g}'):,g}"


def listed(items: Sequence[object]) -> str:
    """Join at least one item: "1, 4 and 16"."""
    *others, last = map(str, items)
    return f"{', '.join(others)} and {last}" if others else last


def megabytes(value: float) -> str:
    """A tenth of one is the least that shows."""
    return f"{value / 1e6:,.1f} MB"


def per_cent(share: float) -> str:
    """Whole ones: 0.1 is "10 %"."""
    return f"{100 * share:.0f} %"
