"""The figure of time to target against batch size: curves with bands, and marks."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from bench.laws.laws import Estimate
from bench.report import look
from bench.units import is_known
from mnist_mlp import atomic

Curves = Mapping[str, Mapping[int, Estimate]]  # name -> batch size -> seconds to the target
Marks = Sequence[tuple[str, int, float]]  # name, batch size, seconds


def draw(file: Path, field: str, curves: Curves, marks: Marks = (), *, goal: str) -> None:
    """Draw each curve as a line in its 95 % band, and the marks above; `field` titles the names.

    Sizes that missed the target or are unknown are left out. The file's suffix is its format.
    """
    rows: list[dict[str, Any]] = [
        {field: name, "batch size": size, "seconds": each.value, "low": each.low, "high": each.high}
        for name, curve in curves.items()
        for size, each in curve.items()
        if is_known(each)
    ]
    points = [
        {field: name, "batch size": size, "seconds": seconds}
        for name, size, seconds in marks
        if seconds < math.inf
    ]
    names = list(dict.fromkeys([*curves, *(name for name, *_ in marks)]))
    title = f"seconds of training to {goal}"
    values = [row[end] for row in rows for end in ("low", "high")]
    values += [point["seconds"] for point in points]
    place: dict[str, Any] = {
        "x": look.batch_size_axis(size for curve in curves.values() for size in curve),
        "color": look.color(field, names),
    }
    low, middle = (look.logarithmic(alt.Y(f"{y}:Q"), title, values) for y in ("low", "seconds"))
    on_rows, on_points = (alt.Chart(alt.Data(values=each)) for each in (rows, points))
    chart = alt.LayerChart(
        layer=[
            on_rows.mark_area(opacity=0.25).encode(**place, y=low, y2="high:Q"),
            on_rows.mark_line().encode(**place, y=middle),
            on_points.mark_point(filled=True).encode(
                **place, shape=look.shape(field, names), y=middle
            ),
        ],
        width=look.WIDTH,
        height=look.HEIGHT,
        config=look.config(),
    )
    atomic.write({file: look.drawn(chart, file.suffix)})
