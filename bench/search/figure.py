"""The figure of time to target against batch size: a curve and its band for each engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

from bench.answer import look
from bench.output import OutputError
from bench.search.sweet_spot import Found

KINDS = (".png", ".svg", ".html")
PIXELS_PER_INCH = 144


def check_kind(file: Path | None) -> None:
    """Refuse a file that no figure can be written to.

    Raises:
        OutputError: it does not end in one of the kinds.

    """
    if file and file.suffix not in KINDS:
        raise OutputError(f"{file} is no figure: name a file that ends in {', '.join(KINDS)}")


def drawn(picture: alt.LayerChart, file: Path) -> bytes:
    """Draw a chart in the kind that the file's name asks for."""
    if file.suffix == ".html":
        html: str = picture.to_html(inline=True)
        return html.encode()
    light: Any = picture.to_dict() | {"background": "white"}
    import vl_convert  # noqa: PLC0415 - a tenth of a second

    if file.suffix == ".svg":
        return vl_convert.vegalite_to_svg(light).encode()
    return vl_convert.vegalite_to_png(light, ppi=PIXELS_PER_INCH)


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
        {"engine": one.engine, "batch size": one.predicted.best, "seconds": run.seconds}
        for one in found
        for run in one.runs
        if run.reached
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
