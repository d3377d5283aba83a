"""Numbers with their units, for tables and sentences."""

THOUSAND = 1000
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
