"""The figures of the report, as Altair charts: of one run, and of many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from bench.report import history, look, rows
from bench.report.history import SavedRuns
from bench.report.rows import Cases, Row
from bench.runs.case import ACCURACY
from bench.runs.seeds import engines

ACCURACY_TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
MEDIAN_HEADINGS = ["learning rate", "batch size", "median", "over seeds", "reached by"]
SEED_HEADINGS = ["learning rate", "batch size", "seed", "spent", "test score"]
EVALUATION_HEADINGS = [*SEED_HEADINGS[:3], "time", "steps", "test accuracy"]
TREND_HEADINGS = ["engine", "batch size", "time", "run", "machine"]
LEADING = 2  # figures above the verdict
MAKE = "pytest --benchmark-only --benchmark-autosave"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart and its numbers, or the command that makes its cases where the run has none."""

    name: str  # stem of the picture's file
    title: str
    command: str
    sentence: str
    chart: alt.LayerChart | None
    headings: Sequence[str] = ()  # columns of the table below the figure: keys of its rows
    rows: Sequence[Row] = ()


def figures(cases: Cases) -> list[Figure]:
    """Return every figure of a run, in the page's order."""
    timed = rows.timed(cases)
    by_engine: dict[str, Any] = {"by": "engine", "command": f"{MAKE} bench/test_epoch.py"}
    return [
        _figure(
            [row for row in timed if row["verb"] == "epoch"],
            rows.epoch_curves(cases),
            name="epoch-time",
            title="Time of one epoch",
            sentence="Median seconds per epoch. A curve is the steps per epoch times the law "
            "o + c B of seconds per step, drawn over the batch sizes it was fitted to.",
            y=("seconds", "seconds per epoch"),
            headings=["engine", "batch size", "epoch", "samples per second"],
            **by_engine,
        ),
        _to_target(
            cases,
            rows.medians(cases, "seconds"),
            name="time-to-target",
            title="Time to the target",
            sentence="A line joins the medians.",
            y=("seconds", "seconds of training"),
        ),
        *_accuracies(cases),
        _to_target(
            cases,
            rows.steps_curves(cases),
            name="steps-to-target",
            title="Steps to the target",
            sentence="A curve is the law S_min (1 + B_crit / B).",
            y=("steps", "optimizer steps"),
        ),
        _figure(
            timed,
            timed,
            name="memory",
            title="Peak memory",
            sentence="The most memory that one untimed epoch, or else step, held, less the memory "
            "held before it.",
            y=("megabytes", "megabytes"),
            headings=["engine", "batch size", "peak memory", "of"],
            **by_engine,
        ),
    ]


def trends(runs: SavedRuns) -> list[Figure]:
    """Return seconds per step and per epoch by date and commit, a figure for each batch size."""
    return [
        Figure(
            name=f"{verb}-trend-{size}",
            title=f"Time of one {verb} at batch size {size}, run by run",
            command="",
            sentence=f"Median seconds per {verb} of each run, by date and commit. Lines join runs "
            "of equal machines, versions and data.",
            chart=_trend(points, verb, engines(next(iter(runs.values())).cases)),
        )
        for verb in ("step", "epoch")
        for size, points in history.trend(runs, verb).items()
    ]


def _trend(points: list[Row], verb: str, names: list[str]) -> alt.LayerChart:
    """Draw a line for each engine; all runs have the same distance."""
    runs = list(dict.fromkeys(row["run"] for row in points))
    every = math.ceil(len(runs) / look.MOST_LABELS)
    x = alt.X("run:O", sort=runs, title=None).axis(
        values=runs[::-1][::every],
        labelAngle=-30,
        labelExpr="slice(datum.label, 5, 10) + slice(datum.label, 16)",
    )
    times = [row["seconds"] for row in points]
    place = {
        "x": x,
        "y": look.logarithmic(alt.Y("seconds:Q"), f"seconds per {verb}", times),
        "color": look.color("engine", names),
    }
    mark = place | {"shape": look.shape("engine", names)}
    shown = _shown(TREND_HEADINGS)
    lines = _on(points).mark_line().encode(**place, detail="group:N")
    return _layered([lines, _on(points).mark_point(filled=True).encode(**mark, tooltip=shown)])


def _to_target(
    cases: Cases, lines: list[Row], *, y: tuple[str, str], sentence: str, **text: Any
) -> Figure:
    """Draw what it took to reach the target, by learning rate rule."""
    targets = " or ".join(f"{name} {target:g}" for name, target in _targets(cases))
    return _figure(
        rows.medians(cases, y[0]),
        lines,
        rows.misses(cases, y[0]),
        by="learning rate",
        y=y,
        headings=MEDIAN_HEADINGS,
        command=f"{MAKE} --seeds=0,1,2 bench/test_convergence.py",
        sentence=f"The target is {targets}. A filled mark is the median over seeds, its bar their "
        f"range. A hollow mark is a seed that missed, at the {y[0]} it spent. {sentence}",
        **text,
    )


def _figure(
    measured: list[Row],
    lines: list[Row],
    missed: Sequence[Row] = (),
    *,
    by: str,
    y: tuple[str, str],
    headings: list[str],
    **text: Any,
) -> Figure:
    """Draw lines, bars from the least to the most, seeds that missed, and marks, in that order."""
    field, title = y
    marks = [row for row in measured if row[field] is not None]
    chart = None
    if measured:
        names = list(dict.fromkeys(row[by] for row in measured))
        ends = [row.get(end) for row in [*measured, *lines] for end in (field, "least", "most")]
        axis, low = (
            look.logarithmic(alt.Y(f"{end}:Q"), title, [end for end in ends if end is not None])
            for end in (field, "least")
        )
        place: dict[str, Any] = {
            "x": look.batch_size_axis(row["batch size"] for row in measured),
            "y": axis,
            "color": look.color(by, names),
        }
        mark = place | {"shape": look.shape(by, names)}
        shown = _shown(headings)
        layers = (
            _on(lines if marks else []).mark_line().encode(**place, detail="verb:N"),
            _on([row for row in measured if "least" in row])
            .mark_rule(strokeWidth=5, opacity=0.35)
            .encode(**place | {"y": low}, y2="most:Q", tooltip=shown),
            _on(missed).mark_point(filled=False).encode(**mark, tooltip=_shown(SEED_HEADINGS)),
            _on(marks).mark_point(filled=True).encode(**mark, tooltip=shown),
        )
        chart = _layered(layers)
    return Figure(chart=chart, headings=headings, rows=measured, **text)


def _layered(layers: Sequence[alt.Chart]) -> alt.LayerChart:
    return alt.LayerChart(
        layer=[layer for layer in layers if layer.data["values"]],
        width=look.WIDTH,
        height=look.HEIGHT,
        config=look.config(),
    )


def _targets(cases: Cases) -> list[tuple[str, float]]:
    trained = [case for case in cases if case.target_score is not None]
    return sorted({(case.score_name, case.target_score or 0.0) for case in trained})


def _accuracies(cases: Cases) -> list[Figure]:
    """Draw test accuracy against time, a figure for each learning rate rule, on the same axes."""
    points = rows.evaluations(cases)
    names = list(dict.fromkeys(row["learning rate"] for row in points))
    title = "Test accuracy while training"
    return [
        Figure(
            name="accuracy" if len(names) <= 1 else f"accuracy-{number}",
            title=f"{title}, learning rate {name}" if name else title,
            command=f"{MAKE} bench/test_convergence.py",
            sentence="The middle seed of each batch size. The dotted line is the target. "
            "The axis is logarithmic in the share of wrong answers.",
            chart=_accuracy(points, name, _targets(cases)) if name else None,
        )
        for number, name in enumerate(names or [""], 1)
    ]


def _accuracy(
    points: list[Row], learning_rate: str, targets: Sequence[tuple[str, float]]
) -> alt.LayerChart:
    """Draw the evaluations of one learning rate rule, on axes that hold those of all rules."""
    goals = [1 - target for name, target in targets if name == ACCURACY and target < 1]
    missed = look.domain([*(row["missed"] for row in points), *goals])
    y = alt.Y("missed:Q", scale=alt.Scale(type="log", reverse=True, nice=False, domain=missed))
    x = alt.X("seconds:Q")
    encodings: dict[str, Any] = {
        "x": look.logarithmic(x, "seconds of training", [row["seconds"] for row in points]),
        "y": y.title("test accuracy").axis(
            values=[1 - accuracy for accuracy in ACCURACY_TICKS],
            labelExpr="format(1 - datum.value, '.3~f')",
        ),
        "color": look.color("batch size", sorted({row["batch size"] for row in points})),
        "tooltip": _shown(EVALUATION_HEADINGS),
    }
    walks = _on([row for row in points if row["learning rate"] == learning_rate])
    return _layered(
        [
            walks.mark_line(point=alt.OverlayMarkDef(size=20)).encode(**encodings),
            _on([{"missed": goal} for goal in goals])
            .mark_rule(color=look.INK, opacity=0.7, strokeDash=[2, 3])
            .encode(y="missed:Q"),
        ]
    )


def _on(points: Sequence[Row]) -> alt.Chart:
    return alt.Chart(alt.Data(values=list(points)))


def _shown(headings: list[str]) -> list[alt.Tooltip]:
    return [alt.Tooltip(heading, type="nominal") for heading in headings]
