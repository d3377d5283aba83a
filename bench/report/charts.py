"""The figures of saved runs, as Altair charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from bench.report import history, look, rows
from bench.report.history import SavedRuns
from bench.report.rows import Row, Runs
from bench.runs.case import ACCURACY

ACCURACY_TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
MEDIAN_HEADINGS = ["learning rate", "batch size", "median", "over seeds", "reached by", "run"]
SEED_HEADINGS = ["learning rate", "batch size", "seed", "spent", "test score", "run"]
EVALUATION_HEADINGS = [*SEED_HEADINGS[:3], "time", "steps", "test accuracy", "run"]
MAKE = "pytest --benchmark-only --benchmark-autosave"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart and its numbers, or the command that makes its cases where no run has them."""

    name: str  # stem of the picture's file
    title: str
    command: str
    sentence: str
    chart: alt.LayerChart | None
    headings: Sequence[str] = ()  # columns of the table below the figure: keys of its rows
    rows: Sequence[Row] = ()


def figures(runs: Runs) -> list[Figure]:
    """Return every figure, in the page's order."""
    timed = rows.timed(runs)
    by_engine: dict[str, Any] = {"by": "engine", "command": f"{MAKE} bench/test_epoch.py"}
    return [
        _figure(
            *(runs, [row for row in timed if row["verb"] == "epoch"], rows.epoch_curves(runs)),
            name="epoch-time",
            title="Time of one epoch",
            sentence="Median seconds per epoch. A curve is the steps per epoch times the law "
            "o + c B of seconds per step, drawn over the batch sizes it was fitted to.",
            y=("seconds", "seconds per epoch"),
            headings=["engine", "batch size", "epoch", "samples per second", "run"],
            **by_engine,
        ),
        _to_target(
            *(runs, rows.medians(runs, "seconds")),
            name="time-to-target",
            title="Time to the target",
            sentence="A line joins the medians.",
            y=("seconds", "seconds of training"),
        ),
        *_accuracies(runs),
        _to_target(
            *(runs, rows.steps_curves(runs)),
            name="steps-to-target",
            title="Steps to the target",
            sentence="A curve is S_min (1 + B_crit / B), fitted where the learning rate grows with "
            "batch size.",
            y=("steps", "optimizer steps"),
        ),
        _figure(
            *(runs, timed, timed),
            name="memory",
            title="Peak memory",
            sentence="The most memory that one untimed call held, less the memory held before it.",
            y=("megabytes", "megabytes"),
            headings=["engine", "batch size", "peak memory", "of", "run"],
            **by_engine,
        ),
    ]


def trends(runs: SavedRuns) -> list[Figure]:
    """Return seconds per step and per epoch by date and commit."""
    return [
        Figure(
            name=f"{verb}-trend",
            title=f"Time of one {verb}, run by run",
            command=f"{MAKE} bench/test_{verb}.py",
            sentence=f"Median seconds per {verb} of each run, by date and commit, at up to "
            f"{history.TREND_SIZES} batch sizes. Lines join the runs of one processor.",
            chart=_trend(history.trend(runs, verb), verb),
        )
        for verb in ("step", "epoch")
    ]


def _trend(points: list[Row], verb: str) -> alt.LayerChart | None:
    """Draw a line for each engine and batch size; all runs have the same distance."""
    if not points:
        return None
    engines = list(dict.fromkeys(row["engine"] for row in points))
    sizes = sorted({row["batch size"] for row in points})
    runs = alt.X("run:O", sort=None, title=None)
    times = [row["seconds"] for row in points]
    place = {
        "x": runs.axis(labelAngle=-30, labelLimit=200, labelOverlap="greedy"),
        "y": look.logarithmic(alt.Y("seconds:Q"), f"seconds per {verb}", times),
        "color": look.color("engine", engines),
    }
    shape = look.shape("batch size", sizes)
    shown = _shown(["engine", "batch size", "time", "run", "processor"])
    layers = (
        _on(points).mark_line().encode(**place, detail=["batch size:N", "processor:N"]),
        _on(points).mark_point(filled=True).encode(**place, shape=shape, tooltip=shown),
    )
    return _layered(layers)


def _to_target(
    runs: Runs, lines: list[Row], *, y: tuple[str, str], sentence: str, **text: Any
) -> Figure:
    """Draw what it took to reach the target, by learning rate rule."""
    targets = " or ".join(f"{name} {target:g}" for name, target in _targets(runs))
    return _figure(
        *(runs, rows.medians(runs, y[0]), lines, rows.misses(runs, y[0])),
        by="learning rate",
        y=y,
        headings=MEDIAN_HEADINGS,
        command=f"{MAKE} --seeds=0,1,2 bench/test_convergence.py",
        sentence=f"The target is {targets}. A filled mark is the median over seeds, "
        f"and its bar is their range. A hollow mark is a seed that missed the target, at the "
        f"{y[0]} it spent. {sentence}",
        **text,
    )


def _figure(
    runs: Runs,
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
            _on(lines if marks else []).mark_line().encode(**place, **look.dash(runs)),
            _on([row for row in measured if "least" in row])
            .mark_rule(strokeWidth=5, opacity=0.35)
            .encode(**place | {"y": low}, y2="most:Q", tooltip=shown),
            _on(missed).mark_point(filled=False).encode(**mark, tooltip=_shown(SEED_HEADINGS)),
            _on(marks).mark_point(filled=True).encode(**mark, tooltip=shown),
        )
        chart = _layered(layers)
    ordered = sorted(measured, key=lambda row: (row["run"], row[by]))
    return Figure(chart=chart, headings=headings, rows=ordered, **text)


def _layered(layers: Sequence[alt.Chart]) -> alt.LayerChart:
    return alt.LayerChart(
        layer=[layer for layer in layers if layer.data["values"]],
        width=look.WIDTH,
        height=look.HEIGHT,
        config=look.config(),
    )


def _targets(runs: Runs) -> list[tuple[str, float]]:
    trained = [case for cases in runs.values() for case in cases if case.target_score is not None]
    return sorted({(case.score_name, case.target_score or 0.0) for case in trained})


def _accuracies(runs: Runs) -> list[Figure]:
    """Draw test accuracy against time, a figure for each learning rate rule, on the same axes."""
    points = rows.evaluations(runs)
    names = list(dict.fromkeys(row["learning rate"] for row in points))
    title = "Test accuracy while training"
    return [
        Figure(
            name="accuracy" if len(names) <= 1 else f"accuracy-{number}",
            title=f"{title}, learning rate {name}" if name else title,
            command=f"{MAKE} bench/test_convergence.py",
            sentence="The middle seed of each batch size. The dotted line is the target. "
            "The axis is logarithmic in the share of wrong answers.",
            chart=_accuracy(points, name, runs) if name else None,
        )
        for number, name in enumerate(names or [""], 1)
    ]


def _accuracy(points: list[Row], learning_rate: str, runs: Runs) -> alt.LayerChart:
    """Draw the evaluations of one learning rate rule, on axes that hold those of all rules."""
    goals = [1 - target for name, target in _targets(runs) if name == ACCURACY and target < 1]
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
            walks.mark_line(point=alt.OverlayMarkDef(size=20)).encode(
                **encodings, **look.dash(runs)
            ),
            _on([{"missed": goal} for goal in goals])
            .mark_rule(color=look.INK, opacity=0.7, strokeDash=[2, 3])
            .encode(y="missed:Q"),
        ]
    )


def _on(points: Sequence[Row]) -> alt.Chart:
    return alt.Chart(alt.Data(values=list(points)))


def _shown(headings: list[str]) -> list[alt.Tooltip]:
    return [alt.Tooltip(heading, type="nominal") for heading in headings]
