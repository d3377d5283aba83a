"""python -m bench report: saved runs to a page, and to pictures."""

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.runs import files
from bench.runs.files import SavedRunError

if TYPE_CHECKING:
    from bench.answer.charts import Figure

HELP = "figures, verdict and machine of saved runs, as one HTML page"
SCALE = 2  # of a picture's pixels, for dense screens


class OutputError(Exception):
    """A file that cannot be written."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    commands.add_parser("report", parents=[parser()], help=HELP, description=HELP)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(add_help=False)
    add = parser.add_argument
    add(
        "runs",
        type=Path,
        nargs="*",
        metavar="RUN.json",
        help=f"that pytest-benchmark saved (default: the newest in {files.STORAGE}/)",
    )
    add(
        "-o",
        "--output",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="where to (default: %(default)s)",
    )
    add(
        "--png",
        type=Path,
        metavar="DIR",
        help="write each figure as a picture, too, to this folder",
    )
    parser.set_defaults(run=run)
    return parser


def main(words: Sequence[str]) -> int:
    """Run the command line; return the exit code."""
    return run(parser().parse_args(words))


def run(options: argparse.Namespace) -> int:
    """Read and draw everything, then write."""
    from bench.answer import charts, page  # noqa: PLC0415 - other commands need no figures

    try:
        runs = files.read_reported(options.runs or [files.newest()])
        figures = charts.figures({run.name: run.cases for run in runs})
        contents = {options.output: page.page(runs, figures).encode()}
        if options.png:
            with told_of(options.png):
                options.png.mkdir(exist_ok=True)
            contents |= {
                options.png / f"{name}.png": png for name, png in pictures(figures).items()
            }
        write(contents)
    except (SavedRunError, OutputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {', '.join(map(str, contents))}")
    return 0


def pictures(figures: "Sequence[Figure]") -> Mapping[str, bytes]:
    """Each figure's name, and its chart in PNG on white."""
    drawn = {}
    for figure in figures:
        if figure.chart:
            buffer = io.BytesIO()
            chart = figure.chart.properties(background="white")
            chart.save(buffer, format="png", scale_factor=SCALE)
            drawn[figure.name] = buffer.getvalue()
    return drawn


def write(files: Mapping[Path, bytes]) -> None:
    """Write every file beside its place, and only then put all there.

    Raises:
        OutputError: names the file that could not be written.

    """
    with ExitStack() as stack:
        written = {}
        for file, content in files.items():
            with told_of(file):
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(dir=file.parent, prefix=".writing-")
                )
                written[file] = Path(folder) / file.name
                written[file].write_bytes(content)
        for file in files:
            with told_of(file):
                written[file].replace(file)


@contextmanager
def told_of(file: Path) -> Iterator[None]:
    """Name the file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}") from error
