"""How numbers are written, with their units."""

THOUSAND = 1000
UNITS = (("s", 1), ("ms", 1e-3), ("us", 1e-6))
SHORTEST_IN_MINUTES = 120  # seconds


def seconds(value: float) -> str:
    """Write three significant digits, in s, ms or us."""
    rounded = float(f"{value:.3g}")
    if rounded >= THOUSAND:
        return f"{rounded:,.0f} s"
    unit, size = next(pair for pair in UNITS if rounded >= pair[1] or pair is UNITS[-1])
    return f"{rounded / size:.3g} {unit}"


def duration(value: float) -> str:
    """Write whole seconds below two minutes, and whole minutes from there."""
    return f"{value:.0f} s" if value < SHORTEST_IN_MINUTES else f"{value / 60:.0f} min"


def counted(number: int, noun: str) -> str:
    """Write "1 case", "2 cases"."""
    return f"{number:,} {noun}" + "s" * (number != 1)
