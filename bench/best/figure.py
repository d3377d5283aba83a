"""The figure of time to target against batch size: a curve and its band for each engine."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from bench.best.sweet_spot import Found
from bench.report import look


def chart(found: Sequence[Found]) -> alt.LayerChart:
    """Lay a band of 95 %, a line, and the runs that were made, over each other."""
    curve: list[dict[str, Any]] = [
        {
            "engine": one.engine,
            "batch size": size,
            "seconds": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
        }
        for one in found
        for size, estimate in one.predicted.seconds.items()
    ]
    runs = [
        {"engine": one.engine, "batch size": one.predicted.best, "seconds": seconds}
        for one in found
        for seconds in one.run_seconds
        if seconds < math.inf
    ]
    names = [one.engine for one in found]
    title = f"seconds of training to test accuracy {found[0].target:g}"
    values = [row[key] for row in curve for key in ("low", "high")]
    place: dict[str, Any] = {
        "x": look.batch_size_axis(row["batch size"] for row in curve),
        "color": look.color("engine", names),
    }
    y = {
        field: look.logarithmic(alt.Y(f"{field}:Q"), title, values) for field in ("low", "seconds")
    }
    on_curve, on_runs = (alt.Chart(alt.Data(values=rows)) for rows in (curve, runs))
    return alt.LayerChart(
        layer=[
            on_curve.mark_area(opacity=0.25).encode(**place, y=y["low"], y2="high:Q"),
            on_curve.mark_line().encode(**place, y=y["seconds"]),
            on_runs.mark_point(filled=True).encode(
                **place, shape=look.shape("engine", names), y=y["seconds"]
            ),
        ],
        width=look.WIDTH,
        height=look.HEIGHT,
        config=look.config(),
    )
