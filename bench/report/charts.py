"""The figures of saved runs, as Altair charts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from bench.report import look, rows
from bench.report.rows import Row, Runs
from bench.units import seconds

Chart = alt.LayerChart | alt.FacetChart

ACCURACY_TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
MEDIAN_HEADINGS = ["learning rate", "batch size", "median", "over seeds", "reached by", "run"]
SEED_HEADINGS = ["learning rate", "batch size", "seed", "spent", "test accuracy", "run"]
EVALUATION_HEADINGS = [
    *("learning rate", "batch size", "seed", "time", "steps", "test accuracy", "run"),
]
MAKE = "pytest --benchmark-only --benchmark-autosave"
TO_TARGET = f"{MAKE} --seeds=0,1,2 bench/test_convergence.py"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart and its numbers, or the command that makes its cases where no run has them."""

    name: str  # of its picture's file
    title: str
    command: str
    sentence: str
    chart: Chart | None
    headings: Sequence[str] = ()  # of the table of its numbers; keys of the rows
    rows: Sequence[Row] = ()


def figures(runs: Runs) -> list[Figure]:
    """Every figure, in the page's order."""
    return [
        epoch_time(runs),
        time_to_target(runs),
        accuracy(runs),
        steps_to_target(runs),
        memory(runs),
    ]


def epoch_time(runs: Runs) -> Figure:
    """Seconds of an epoch against batch size by engine, and what the law of step time makes it."""
    marks = rows.epochs(runs)
    headings = ["engine", "batch size", "epoch", "samples a second", "run"]
    curves = rows.epoch_curves(runs, marks)
    return Figure(
        name="epoch-time",
        title="Time of one epoch",
        command=f"{MAKE} bench/test_epoch.py",
        sentence="A curve is steps an epoch times o + c B, the law of the time of one step; it is "
        "drawn as far as it was fitted.",
        chart=_by_engine(marks, curves, runs, ("seconds", "seconds an epoch"), headings),
        headings=headings,
        rows=_ordered(marks),
    )


def memory(runs: Runs) -> Figure:
    """Peak memory against batch size by engine."""
    marks = rows.peaks(runs)
    headings = ["engine", "batch size", "peak memory", "of", "run"]
    return Figure(
        name="memory",
        title="Peak memory",
        command=f"{MAKE} bench/test_epoch.py",
        sentence="The most that one untimed call held, less what was held before it.",
        chart=_by_engine(marks, marks, runs, ("megabytes", "megabytes"), headings),
        headings=headings,
        rows=_ordered(marks),
    )


def _by_engine(
    marks: list[Row], curves: list[Row], runs: Runs, y: tuple[str, str], tooltip: list[str]
) -> Chart | None:
    """Marks and lines by engine; None without marks."""
    if not marks:
        return None
    engines = list(dict.fromkeys(row["engine"] for row in marks))
    field, title = y
    seen: dict[str, Any] = {
        "x": look.batch_size_axis(row["batch size"] for row in marks),
        "y": look.logarithmic(alt.Y(f"{field}:Q"), title, [row[field] for row in marks + curves]),
        "color": look.color("engine", engines),
    }
    return _layered(
        _on(curves).mark_line().encode(**seen, **look.dash(runs)),
        _on(marks)
        .mark_point(filled=True)
        .encode(**seen, shape=look.shape("engine", engines), tooltip=_shown(tooltip)),
    )


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What it took to reach the target, in one unit."""

    field: str  # of the rows
    title: str  # of the axis
    text: Callable[[float], str]  # how a value reads


TRAINING_TIME = Measure(field="seconds", title="seconds of training", text=seconds)
STEPS = Measure(field="steps", title="optimizer steps", text="{:,.0f}".format)


def time_to_target(runs: Runs) -> Figure:
    """Training seconds to the target against batch size by learning rate rule."""
    seeds = rows.seeds(runs)
    medians = rows.medians(seeds, TRAINING_TIME.field, TRAINING_TIME.text)
    return Figure(
        name="time-to-target",
        title="Time to the target accuracy",
        command=TO_TARGET,
        sentence=f"{_key(seeds)} A line joins the medians.",
        chart=_by_rule(TRAINING_TIME, seeds, medians, medians, runs),
        headings=MEDIAN_HEADINGS,
        rows=_ordered(medians),
    )


def steps_to_target(runs: Runs) -> Figure:
    """Steps to the target against batch size by learning rate rule, and their law."""
    seeds = rows.seeds(runs)
    medians = rows.medians(seeds, STEPS.field, STEPS.text)
    curves = rows.steps_curves(runs, seeds)
    return Figure(
        name="steps-to-target",
        title="Steps to the target accuracy",
        command=TO_TARGET,
        sentence=f"{_key(seeds)} A curve is S_min (1 + B_crit / B), fitted where the learning rate "
        "grows with batch size.",
        chart=_by_rule(STEPS, seeds, medians, curves, runs),
        headings=MEDIAN_HEADINGS,
        rows=_ordered(medians),
    )


def _key(seeds: list[Row]) -> str:
    targets = " or ".join(f"{target:g}" for target in sorted({row["target"] for row in seeds}))
    return (
        f"The target is test accuracy {targets}. A filled mark is the median over seeds, its bar "
        "reaches from the least to the most of them. A hollow mark is a seed that missed the "
        "target, at what it spent."
    )


def _by_rule(
    measure: Measure, seeds: list[Row], medians: list[Row], lines: list[Row], runs: Runs
) -> Chart | None:
    """Lines, bars over seeds, seeds that missed, and medians; None without seeds."""
    if not seeds:
        return None
    rules = list(dict.fromkeys(row["learning rate"] for row in seeds))
    values = [row[measure.field] for row in seeds + lines if row[measure.field] is not None]
    reached = [row for row in medians if row[measure.field] is not None]
    missed = [
        {key: row[key] for key in (*SEED_HEADINGS, measure.field)}
        for row in seeds
        if not row["reached"]
    ]
    place: dict[str, Any] = {
        "x": look.batch_size_axis(row["batch size"] for row in seeds),
        "y": look.logarithmic(alt.Y(f"{measure.field}:Q"), measure.title, values),
        "color": look.color("learning rate", rules),
    }
    bar = place | {"y": look.logarithmic(alt.Y("least:Q"), measure.title, values)}
    mark = place | {"shape": look.shape("learning rate", rules)}
    return _layered(
        _on(lines if reached else []).mark_line().encode(**place, **look.dash(runs)),
        _on(medians)
        .mark_rule(strokeWidth=5, opacity=0.35)
        .encode(**bar, y2="most:Q", tooltip=_shown(MEDIAN_HEADINGS)),
        _on(missed).mark_point(filled=False).encode(**mark, tooltip=_shown(SEED_HEADINGS)),
        _on(reached).mark_point(filled=True).encode(**mark, tooltip=_shown(MEDIAN_HEADINGS)),
    )


def accuracy(runs: Runs) -> Figure:
    """Test accuracy against training time, of some batch sizes, for the seed in the middle."""
    seeds = rows.seeds(runs)
    marks = rows.evaluations(seeds)
    return Figure(
        name="accuracy",
        title="Test accuracy while training",
        command=f"{MAKE} bench/test_convergence.py",
        sentence="For each batch size the seed in the middle; the dotted line is the target. "
        "The axis is logarithmic in the share of samples that are missed.",
        chart=_panels(marks, {row["target"] for row in seeds}, runs) if marks else None,
    )


def _panels(marks: list[Row], targets: set[float], runs: Runs) -> Chart:
    """A panel a learning rate rule, with a line a batch size and one a target."""
    several = len({row["learning rate"] for row in marks}) > 1
    goals = [
        alt.Chart()
        .mark_rule(color=look.INK, opacity=0.7, strokeDash=[2, 3])
        .encode(y=alt.YDatum(1 - target))
        for target in targets
    ]
    panel = alt.layer(_walks(marks, targets, runs), *goals).properties(
        width=look.WIDTH // 2 - 20 if several else look.WIDTH, height=look.HEIGHT
    )
    header = alt.Header(labelExpr="'learning rate: ' + datum.value")
    return alt.FacetChart(
        data=alt.Data(values=marks),
        spec=panel,
        facet=alt.Facet("learning rate:N", title=None, header=header),
        columns=2,
        config=look.config(),
    )


def _walks(marks: list[Row], targets: set[float], runs: Runs) -> alt.Chart:
    """A line a batch size, a point an evaluation."""
    missed = look.domain([row["missed"] for row in marks] + [1 - target for target in targets])
    encodings: dict[str, Any] = {
        "x": look.logarithmic(
            alt.X("seconds:Q"), "seconds of training", [row["seconds"] for row in marks]
        ),
        "y": alt.Y("missed:Q", scale=alt.Scale(type="log", reverse=True, nice=False, domain=missed))
        .title("test accuracy")
        .axis(
            values=[1 - accuracy for accuracy in ACCURACY_TICKS],
            labelExpr="format(1 - datum.value, '.3~f')",
        ),
        "color": look.color("batch size", sorted({row["batch size"] for row in marks})),
    }
    lines = alt.Chart().mark_line(point=alt.OverlayMarkDef(size=20))
    walks: alt.Chart = lines.encode(
        **encodings, **look.dash(runs), tooltip=_shown(EVALUATION_HEADINGS)
    )
    return walks


def _layered(*layers: alt.Chart) -> Chart:
    drawn = [layer for layer in layers if layer.data["values"]]
    return alt.LayerChart(layer=drawn, width=look.WIDTH, height=look.HEIGHT, config=look.config())


def _on(points: list[Row]) -> alt.Chart:
    return alt.Chart(alt.Data(values=points))


def _shown(headings: list[str]) -> list[alt.Tooltip]:
    return [alt.Tooltip(heading, type="nominal") for heading in headings]


def _ordered(marks: list[Row]) -> list[Row]:
    """The rows of a table, series by series."""
    return sorted(marks, key=lambda row: (row["run"], row.get("engine") or row["learning rate"]))
