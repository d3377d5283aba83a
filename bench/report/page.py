"""Saved runs as one page that needs nothing else: figures, verdict and machine."""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps

from bench.report import summary, words
from bench.report.charts import Figure
from bench.runs.case import MeasuredCase
from bench.runs.files import SavedRun
from bench.runs.seeds import Seeds, by_series
from bench.units import gigabytes, listed

# Rows of the machine's table beside its processor and memory, and the keys of a saved run
MACHINE = {
    "GPU": "gpu",
    "logical cores": "logical_cores",
    "system": "system",
    "Python": "python_version",
    "torch": "torch",
    "torchvision": "torchvision",
    "matrix products": "blas",
    "instructions": "cpu_capability",
    "threads": "threads",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a run shows of one engine and learning rate rule."""

    subject: str
    sentence: str


def page(runs: Sequence[SavedRun], figures: Sequence[Figure]) -> str:
    """Return one HTML page; every name from a file is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["hash"] = script_hash
    machines = [machine(run) for run in runs]
    return environment.get_template("page.html").render(
        scripts=[_vega(), _drawing(figures)],
        figures=figures,
        machine={label: [one[label] for one in machines] for label in machines[0]},
        runs=[(run, findings(run.cases), _laws(run)) for run in runs],
    )


def _laws(run: SavedRun) -> list[str]:
    memory_bytes = run.physical_memory_bytes
    memory = words.of_memory(run.cases, memory_bytes) if memory_bytes else []
    return [*memory, *words.sentences(run.cases)]


@cache
def _vega() -> str:
    """The libraries that draw, as one script without a network: vl-convert's own."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _drawing(figures: Sequence[Figure]) -> str:
    """The script that draws each chart into the element of its name.

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


def script_hash(script: str) -> str:
    """Return what a content security policy knows a script by (W3C, CSP Level 3, 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def machine(run: SavedRun) -> Mapping[str, str]:
    """Return each label with the run's value; empty where the run has none."""
    memory_bytes = run.physical_memory_bytes
    return {
        "run": run.name,
        "measured": run.when,
        "processor": str(run.machine["cpu"] or ""),
        "memory": gigabytes(memory_bytes) if memory_bytes else "",
        **{label: str(run.machine[key] or "") for label, key in MACHINE.items()},
    }


def findings(cases: Sequence[MeasuredCase]) -> list[Finding]:
    """Return the best measured batch size of each engine and rule, and those like it."""
    return [
        Finding(
            subject=f"{engine} engine, {rule} learning rate",
            sentence=f"{summary.target_sentence(cases, found)} {_equals(found)}",
        )
        for (engine, rule), found in by_series(cases).items()
    ]


def _equals(found: Sequence[Seeds]) -> str:
    """Name the batch sizes whose seeds overlap with those of the best."""
    best, *others = sorted(found, key=lambda seeds: seeds.median_seconds)
    if not others or best.is_censored:
        return ""
    rivals = [other for other in others if not other.is_censored] or others
    chance = max(_chance_to_part(best, other) for other in rivals)
    if chance == 1:
        return "With one seed each, batch sizes cannot be told apart: --seeds=0,1,2 runs three."
    equals = sorted(other.batch_size for other in others if other.overlaps(best))
    overlap = (
        f"The seeds of {best.batch_size} overlap with those of {listed(equals)}: "
        "which is faster is not known"
        if equals
        else f"All seeds of every other batch size took longer than all of {best.batch_size}"
    )
    return f"{overlap}. Two equal batch sizes would not overlap in {100 * chance:.0f} % of cases."


def _chance_to_part(one: Seeds, other: Seeds) -> float:
    """Return how likely no seeds of two equal batch sizes overlap: two of all their orders."""
    seeds = len(one.cases), len(other.cases)
    return 2 / math.comb(sum(seeds), seeds[0])
