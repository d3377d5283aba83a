"""python -m bench report: saved runs as one page that needs nothing else, and as pictures."""

import argparse
import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps

from bench.report import answer, charts, look
from bench.report.charts import Figure
from bench.runs import files
from bench.runs.files import MACHINE, SavedRun
from bench.units import gigabytes
from mnist_mlp import atomic


def run(options: argparse.Namespace) -> int:
    """Read and draw everything, then write."""
    runs = files.read_reported(options.runs or [files.newest()])
    figures = charts.figures({name: saved.cases for name, saved in runs.items()})
    contents = {options.output: page(runs, figures).encode()}
    if options.png:
        atomic.make_folder(options.png)
        contents |= {
            options.png / f"{figure.name}.png": look.drawn(figure.chart, ".png")
            for figure in figures
            if figure.chart
        }
    atomic.write(contents)
    print(f"wrote {', '.join(map(str, contents))}")
    return 0


def page(runs: Mapping[str, SavedRun], figures: Sequence[Figure]) -> str:
    """Return one HTML page; every name from a file is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["hash"] = _hash
    machines = [_machine(name, saved) for name, saved in runs.items()]
    return environment.get_template("page.html").render(
        scripts=[_vega(), _drawing(figures)],
        figures=figures,
        machine={label: [values[label] for values in machines] for label in machines[0]},
        runs=[
            (
                name,
                answer.sentences(saved.cases, saved.physical_memory_bytes),
                any(case.verb == "convergence" for case in saved.cases),
            )
            for name, saved in runs.items()
        ],
    )


@cache
def _vega() -> str:
    """Return the libraries that draw, as one script that needs no network."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _drawing(figures: Sequence[Figure]) -> str:
    """Write the script that draws each chart into the element of its name.

    `ast` lets Vega interpret expressions, which it would otherwise compile by `eval`.
    """
    specifications = {
        figure.name: figure.chart.to_dict() | {"description": figure.title}
        for figure in figures
        if figure.chart
    }
    return (
        "for (const [name, specification] of "
        f"Object.entries({htmlsafe_json_dumps(specifications)})) {{"
        'vegaEmbed("#" + name, specification, {renderer: "svg", actions: false, ast: true})'
        ".catch(console.error); }"
    )


def _hash(script: str) -> str:
    """Return what a content security policy knows a script by (W3C, CSP Level 3, 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _machine(name: str, saved: SavedRun) -> dict[str, str]:
    """Return each label with the run's value; empty where the run has none."""
    values = {label: str(saved.machine[key] or "") for key, label in MACHINE.items()}
    if saved.physical_memory_bytes:
        values["memory"] = gigabytes(saved.physical_memory_bytes)
    return {"run": name, "measured": saved.when} | values
