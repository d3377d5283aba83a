"""The power curve: how often a planted slowdown is called a regression, by its size."""

from collections.abc import Sequence

import altair as alt

from bench.gate.audit import rates
from bench.gate.audit.record import IDENTICAL, Line, by_scenario


def chart(record: Sequence[Line]) -> alt.FacetChart:
    """Lay the share of gates that called each planted slowdown over its 95 % bounds."""
    rows = [
        {
            "where": guilty.split("::")[-1],
            "slowdown": gates[0]["slowdown"],
            "found": rate.times / rate.of,
            "low": rate.at_least,
            "high": rate.at_most,
        }
        for gates in by_scenario(record).values()
        if "verdicts" in gates[0]
        for guilty in gates[0]["guilty"]
        for rate in [rates.called(gates, guilty)]
    ]
    identical = [gate for gate in record if gate["scenario"] == IDENTICAL]
    title = f"Called a regression, 95 % bounds; {len(identical)} gates of identical code beside"
    base = alt.Chart(width=180, height=200).encode(
        x=alt.X("slowdown:Q", title="slowdown that was planted").axis(format=".0%")
    )
    shares = alt.Y("found:Q", title="share of gates").axis(format=".0%")
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title="share of gates"), y2="high:Q")
    curve = base.mark_line(point=True).encode(y=shares)
    columns = alt.Facet("where:N", title=None)
    return alt.layer(curve, bars, data=alt.Data(values=rows)).facet(columns).properties(title=title)
