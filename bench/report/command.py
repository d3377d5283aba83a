"""python -m bench report: saved runs to a page, and to pictures."""

import argparse
from collections.abc import Mapping, Sequence

from bench.report import charts, page, picture
from bench.report.charts import Figure
from bench.runs import files
from mnist_mlp import atomic


def run(options: argparse.Namespace) -> int:
    """Read and draw everything, then write."""
    runs = files.read_reported(options.runs or [files.newest()])
    figures = charts.figures({run.name: run.cases for run in runs})
    contents = {options.output: page.page(runs, figures).encode()}
    if options.png:
        atomic.make_folder(options.png)
        contents |= {options.png / f"{name}.png": png for name, png in pictures(figures).items()}
    atomic.write(contents)
    print(f"wrote {', '.join(map(str, contents))}")
    return 0


def pictures(figures: Sequence[Figure]) -> Mapping[str, bytes]:
    """Each figure's name, and its chart in PNG on white."""
    return {figure.name: picture.drawn(figure.chart, ".png") for figure in figures if figure.chart}
