"""The figure of time to target against the batch size of all workers: a curve for each number."""

from collections.abc import Iterator
from typing import Any

import altair as alt

from bench.best.scale import Scaling
from bench.laws.time_to_target import TimeToTarget
from bench.report import look


def chart(found: Scaling) -> alt.LayerChart:
    """Lay bands of 95 % and lines for what was predicted under marks for what was measured."""
    predicted = [(1, found.one), *((one.workers, one.predicted) for one in found.several)]
    measured = [(1, found.one), *((one.workers, one.measured) for one in found.several)]
    names = [f"{workers}" for workers, _ in predicted]
    curves = [row for workers, times in predicted for row in _rows(workers, times)]
    marks = [row for workers, times in measured if times for row in _rows(workers, times)]
    values = [row[key] for row in (*curves, *marks) for key in ("low", "high")]
    title = f"seconds of training to test accuracy {found.target:g}"
    place: dict[str, Any] = {
        "x": look.batch_size_axis(row["batch size"] for row in curves),
        "color": look.color("workers", names),
    }
    y = {
        field: look.logarithmic(alt.Y(f"{field}:Q"), title, values) for field in ("low", "seconds")
    }
    on_curves, on_marks = (alt.Chart(alt.Data(values=rows)) for rows in (curves, marks))
    return alt.LayerChart(
        layer=[
            on_curves.mark_area(opacity=0.12).encode(**place, y=y["low"], y2="high:Q"),
            on_curves.mark_line().encode(**place, y=y["seconds"]),
            on_marks.mark_rule().encode(**place, y=y["low"], y2="high:Q"),
            on_marks.mark_point(filled=True, size=60).encode(
                **place, shape=look.shape("workers", names), y=y["seconds"]
            ),
        ],
        width=look.WIDTH,
        height=look.HEIGHT,
        config=look.config(),
    )


def _rows(workers: int, times: TimeToTarget) -> Iterator[dict[str, Any]]:
    for size, estimate in times.seconds.items():
        yield {
            "workers": f"{workers}",
            "batch size": size,
            "seconds": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
        }
