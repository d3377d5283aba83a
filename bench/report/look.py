"""How the figures look: axes, colours, shapes, ink for light, dark and paper, and kinds of file."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import altair as alt

# Okabe and Ito 2008; first the four that stand out from white and from black by 3 to 1.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
# The fields by which a chart takes the width of its element in a page.
FITTED = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
INK = "currentColor"  # the page's, light on dark or dark on light; black in a picture
WIDTH, HEIGHT = 640, 340
MOST_LABELS = 8  # labels of runs below a trend
FEW_DECADES = 2.7  # an axis this short has room for ticks at 2 and 5 times a power of ten

Axis = TypeVar("Axis", alt.X, alt.Y)


def batch_size_axis(sizes: Iterable[float]) -> alt.X:
    """Return a logarithmic axis with ticks at powers of four."""
    scale = alt.Scale(type="log", base=2, nice=False, domain=domain(sizes, least_ratio=16))
    return (
        alt.X("batch size:Q", scale=scale)
        .title("batch size (samples per step)")
        .axis(values=[4**power for power in range(13)], format=",d", labelSeparation=6)
    )


def logarithmic(axis: Axis, title: str, values: Iterable[float]) -> Axis:
    """Return a logarithmic axis that holds the values, with ticks among them."""
    low, high = domain(values)
    digits = (1, 2, 5) if math.log10(high / low) < FEW_DECADES else (1,)
    ticks = [float(f"{digit}e{power}") for power in range(-7, 9) for digit in digits]
    return (
        axis.title(title)
        .scale(type="log", nice=False, domain=[low, high])
        .axis(values=ticks, format=",~r")
    )


def domain(values: Iterable[float], *, least_ratio: float = 5) -> list[float]:
    """Return limits around the values (without any around 1), wide enough for two ticks."""
    values = list(values) or [1.0]
    low, high = min(values), max(values)
    margin = max(1.25, math.sqrt(least_ratio * low / high))
    return [low / margin, high * margin]


def color(field: str, names: Sequence[Any]) -> alt.Color:
    """Give each name a colour."""
    legend = _legend(columns=3)
    return alt.Color(f"{field}:N", legend=legend).scale(domain=names, range=PALETTE)


def shape(field: str, names: Sequence[Any]) -> alt.Shape:
    """Give each name a shape; shares the colours' legend."""
    legend = _legend(columns=3)
    return alt.Shape(f"{field}:N", legend=legend).scale(domain=names, range=SHAPES)


def _legend(**more: Any) -> alt.Legend:
    return alt.Legend(orient="bottom", labelLimit=600, **more)


def config() -> alt.Config:
    """Return the sizes of marks and text, and the colour of text and axes."""
    text: dict[str, Any] = {"labelColor": INK, "titleColor": INK}
    text |= {"labelFontSize": 12, "titleFontSize": 13}
    axis: dict[str, Any] = {"domainColor": INK, "tickColor": INK, "gridColor": INK}
    return alt.Config(
        background="transparent",
        font="system-ui, sans-serif",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(titlePadding=8, gridOpacity=0.12, **axis, **text),
        legend=alt.LegendConfig(
            symbolStrokeWidth=2, symbolOpacity=1, symbolBaseFillColor=INK, **text
        ),
        point=alt.MarkConfig(size=70, opacity=1, strokeWidth=2),
        line=alt.LineConfig(strokeWidth=1.5, opacity=0.8),
    )


def drawn(chart: Any, kind: str) -> bytes:
    """Draw a chart on white, as ".png" or ".svg", or as ".html", which has its own background."""
    if kind == ".html":
        html: str = chart.to_html(inline=True)
        return html.encode()
    light = chart.to_dict() | {"background": "white"}
    import vl_convert  # noqa: PLC0415 - a tenth of a second

    if kind == ".svg":
        return vl_convert.vegalite_to_svg(light).encode()
    return vl_convert.vegalite_to_png(light, ppi=144)
