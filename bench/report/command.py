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

from bench.report import answer, charts, history, look, verdict
from bench.report.charts import Figure
from bench.runs import files
from bench.runs.files import MACHINE, SavedRun
from bench.units import gigabytes, listed
from mnist_mlp import atomic

FEWEST_RUNS_OF_A_TREND = 3


def run(options: argparse.Namespace) -> int:
    """Read and draw everything, then write."""
    runs = files.read_reported(options.runs or [files.newest()])
    newest = next(iter(runs.values()))
    figures = charts.figures(newest.cases)
    if len(runs) >= FEWEST_RUNS_OF_A_TREND:
        figures[charts.LEADING : charts.LEADING] = charts.trends(runs)
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
    newest = next(iter(runs.values()))
    rows = verdict.verdict(newest.cases)
    sentences = answer.sentences(newest.cases, newest.physical_memory_bytes)
    why = answer.slow_epoch(newest.cases)
    return environment.get_template("page.html").render(
        scripts=[_vega(), _drawing(figures)],
        figures=figures,
        settings=listed([*dict.fromkeys(map(history.setting, newest.cases))]),
        verdict=rows,
        verdict_headings=verdict.headings(rows),
        why=why,
        more=[sentence for sentence in sentences if sentence not in why],
        common=verdict.COMMON,
        leading=charts.LEADING,
        labels=list(history.labels(runs).values())[: history.MOST_RUNS],
        comparison=history.comparison(runs) if len(runs) > 1 else [],
        machines=_machines(runs),
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
        figure.name: figure.chart.to_dict() | {"description": figure.title} | look.FITTED
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


def _machines(runs: Mapping[str, SavedRun]) -> dict[str, list[str]]:
    """Return each label with a value for each machine; the runs of a machine share a column."""
    columns: dict[tuple[str, ...], list[str]] = {}
    dates = history.labels(runs)
    for name, saved in runs.items():
        values = {key: str(value or "") for key, value in saved.machine.items()}
        if saved.physical_memory_bytes:
            values["physical_memory_bytes"] = gigabytes(saved.physical_memory_bytes)
        columns.setdefault(tuple(values.values()), []).append(f"{name}, {dates[name]}")
    labels = ["runs", *MACHINE.values()]
    rows = zip(labels, *(("; ".join(of), *cells) for cells, of in columns.items()), strict=True)
    return {label: values for label, *values in rows}
