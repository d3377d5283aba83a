"""Saved runs as one page that needs nothing else: figures, verdict and machine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.answer import summary, targets, time_model, words
from bench.answer.charts import Figure
from bench.answer.targets import Target
from bench.answer.time_model import Benchmarks
from bench.runs.files import Run

# Rows of the machine's table beside its processor and memory, and their keys in machine_info.
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
class Verdict:
    """What a run says of one engine and learning rate rule."""

    subject: str
    sentence: str


def page(runs: Sequence[Run], figures: Sequence[Figure]) -> str:
    """One HTML page; every name in it is text, whatever a file says."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    machines = [machine(run) for run in runs]
    return environment.get_template("page.html").render(
        vega=_vega(),
        figures=figures,
        specifications={
            figure.name: figure.chart.to_dict() | {"description": figure.title}
            for figure in figures
            if figure.chart
        },
        machine={label: [one[label] for one in machines] for label in machines[0]},
        runs=[(run, verdicts(run.cases), _laws(run)) for run in runs],
    )


def _laws(run: Run) -> list[str]:
    memory_bytes = run.machine.get("physical_memory_bytes")
    memory = words.of_memory(run.cases, memory_bytes) if isinstance(memory_bytes, int) else []
    return [*memory, *words.sentences(run.cases)]


@cache
def _vega() -> str:
    """The libraries that draw, as one script without a network."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def machine(run: Run) -> Mapping[str, str]:
    """A label and what the run says of it; empty where it doesn't."""
    cpu, memory_bytes = run.machine.get("cpu"), run.machine.get("physical_memory_bytes")
    return {
        "run": run.name,
        "measured": run.when,
        "processor": str(cpu.get("brand_raw", "")) if isinstance(cpu, dict) else "",
        "memory": f"{memory_bytes / 1e9:.0f} GB" if isinstance(memory_bytes, int) else "",
        **{label: str(run.machine.get(key, "")) for label, key in MACHINE.items()},
    }


def verdicts(cases: Benchmarks) -> list[Verdict]:
    """The best measured batch size of each engine and learning rate rule, and its equals."""
    return [
        Verdict(
            subject=f"{engine} engine, {rule} learning rate",
            sentence=_verdict(cases, engine, rule),
        )
        for engine, rules in time_model.lr_rules(cases).items()
        for rule in rules
    ]


def _verdict(cases: Benchmarks, engine: str, rule: str) -> str:
    benchmarks = [dict(case) for case in cases]
    found = targets.by_rule(benchmarks)[engine, rule]
    return f"{summary.target_sentence(benchmarks, engine, rule)} {_equals(found)}"


def _equals(found: Sequence[Target]) -> str:
    """Which batch sizes can't be told from the best: those whose seeds overlap with its own."""
    best, *others = sorted(found, key=lambda target: target.median_seconds)
    if not others or not best.is_reached:
        return ""
    chance = max(_chance_to_part(best, other) for other in others)
    if chance == 1:
        return "One seed a batch size can't tell them apart; --seeds=0,1,2 begins to."
    slowest = max(best.seconds)
    equals = sorted(other.batch_size for other in others if min(other.seconds) <= slowest)
    said = (
        f"It can't be told from {', '.join(map(str, equals))}, whose seeds overlap with its own"
        if equals
        else "All seeds of every other batch size took longer than all of its own"
    )
    return f"{said}. Two equal batch sizes would not overlap in {100 * chance:.0f} % of cases."


def _chance_to_part(one: Target, other: Target) -> float:
    """That no seeds of two batch sizes with equal times overlap: two of all their orders."""
    seeds = len(one.seconds), len(other.seconds)
    return 2 / math.comb(sum(seeds), seeds[0])
