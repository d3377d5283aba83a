"""The power curve: how often a planted slowdown is called a regression, by its size."""

from collections.abc import Sequence

import altair as alt

from bench.gate.audit import rates
from bench.gate.audit.record import IDENTICAL, Line, by_scenario

COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]  # Okabe and Ito: told apart by all readers


def chart(record: Sequence[Line]) -> alt.LayerChart | alt.FacetChart:
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
    base = alt.Chart(alt.Data(values=rows), title=title, width=460, height=260).encode(
        x=alt.X("slowdown:Q", title="slowdown that was planted").axis(format=".0%"),
        color=alt.Color("where:N", title=None).scale(range=COLORS).legend(labelLimit=300),
        xOffset=alt.XOffset("where:N"),
    )
    shares = alt.Y("found:Q", title="share of gates").axis(format=".0%")
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title="share of gates"), y2="high:Q")
    return alt.layer(base.mark_line(point=True).encode(y=shares), bars)
