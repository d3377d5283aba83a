"""Draws a chart into the kind of file that its name asks for."""

from typing import Any

KINDS = (".png", ".svg", ".html")
PIXELS_PER_INCH = 144  # for dense screens


def drawn(chart: Any, kind: str) -> bytes:
    """Draw an Altair chart on white, as one of `KINDS`; a page has its own background."""
    if kind == ".html":
        html: str = chart.to_html(inline=True)
        return html.encode()
    light = chart.to_dict() | {"background": "white"}
    import vl_convert  # noqa: PLC0415 - a tenth of a second

    if kind == ".svg":
        return vl_convert.vegalite_to_svg(light).encode()
    return vl_convert.vegalite_to_png(light, ppi=PIXELS_PER_INCH)
