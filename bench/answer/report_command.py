"""python -m bench report: saved runs to a page, and to pictures."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import picture
from bench.answer import charts, page
from bench.answer.charts import Figure
from bench.runs import files
from bench.runs.files import SavedRunError
from mnist_mlp import atomic
from mnist_mlp.atomic import WriteError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add(
        "runs",
        type=Path,
        nargs="*",
        metavar="RUN.json",
        help=f"that pytest-benchmark saved (default: the newest in {files.STORAGE}/)",
    )
    where = "where to write the page (default: %(default)s)"
    add("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE", help=where)
    add("--png", type=Path, metavar="DIR", help="write each figure as a picture, too, to DIR")


def run(options: argparse.Namespace) -> int:
    """Read and draw everything, then write."""
    try:
        runs = files.read_reported(options.runs or [files.newest()])
        figures = charts.figures({run.name: run.cases for run in runs})
        contents = {options.output: page.page(runs, figures).encode()}
        if options.png:
            atomic.make_folder(options.png)
            contents |= {
                options.png / f"{name}.png": png for name, png in pictures(figures).items()
            }
        atomic.write(contents)
    except (SavedRunError, WriteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {', '.join(map(str, contents))}")
    return 0


def pictures(figures: Sequence[Figure]) -> Mapping[str, bytes]:
    """Each figure's name, and its chart in PNG on white."""
    return {figure.name: picture.drawn(figure.chart, ".png") for figure in figures if figure.chart}
