"""The figures of saved runs, as Altair charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from bench.report import look, rows
from bench.report.rows import Row, Runs
from bench.runs.case import ACCURACY

Chart = alt.LayerChart | alt.FacetChart

ACCURACY_TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
MEDIAN_HEADINGS = ["learning rate", "batch size", "median", "over seeds", "reached by", "run"]
SEED_HEADINGS = ["learning rate", "batch size", "seed", "spent", "test score", "run"]
EVALUATION_HEADINGS = [*SEED_HEADINGS[:3], "time", "steps", "test accuracy", "run"]
MAKE = "pytest --benchmark-only --benchmark-autosave"


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
    """Return every figure, in the page's order."""
    timed, evaluations = rows.timed(runs), rows.evaluations(runs)
    by_engine: dict[str, Any] = {"by": "engine", "command": f"{MAKE} bench/test_epoch.py"}
    return [
        _figure(
            *(runs, [row for row in timed if row["verb"] == "epoch"], rows.epoch_curves(runs)),
            name="epoch-time",
            title="Time of one epoch",
            sentence="A curve is steps per epoch times o + c B, the law of the time of one step; "
            "it is drawn as far as it was fitted.",
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
        Figure(
            name="accuracy",
            title="Test accuracy while training",
            command=f"{MAKE} bench/test_convergence.py",
            sentence="For each batch size the seed in the middle; the dotted line is the target. "
            "The axis is logarithmic in the share of samples that are missed.",
            chart=_panels(evaluations, runs) if evaluations else None,
        ),
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
            sentence="The most that one untimed call held, less what was held before it.",
            y=("megabytes", "megabytes"),
            headings=["engine", "batch size", "peak memory", "of", "run"],
            **by_engine,
        ),
    ]


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
        "its bar reaches from the least to the most of them. A hollow mark is a seed that missed "
        f"the target, at what it spent. {sentence}",
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
        chart = alt.LayerChart(
            layer=[layer for layer in layers if layer.data["values"]],
            width=look.WIDTH,
            height=look.HEIGHT,
            config=look.config(),
        )
    ordered = sorted(measured, key=lambda row: (row["run"], row[by]))
    return Figure(chart=chart, headings=headings, rows=ordered, **text)


def _targets(runs: Runs) -> list[tuple[str, float]]:
    trained = [case for cases in runs.values() for case in cases if case.target_score is not None]
    return sorted({(case.score_name, case.target_score or 0.0) for case in trained})


def _panels(marks: list[Row], runs: Runs) -> Chart:
    """Draw test accuracy against time, a panel for each learning rate rule."""
    several = len({row["learning rate"] for row in marks}) > 1
    goals = [1 - target for name, target in _targets(runs) if name == ACCURACY and target < 1]
    missed = look.domain([*(row["missed"] for row in marks), *goals])
    y = alt.Y("missed:Q", scale=alt.Scale(type="log", reverse=True, nice=False, domain=missed))
    x = alt.X("seconds:Q")
    encodings: dict[str, Any] = {
        "x": look.logarithmic(x, "seconds of training", [row["seconds"] for row in marks]),
        "y": y.title("test accuracy").axis(
            values=[1 - accuracy for accuracy in ACCURACY_TICKS],
            labelExpr="format(1 - datum.value, '.3~f')",
        ),
        "color": look.color("batch size", sorted({row["batch size"] for row in marks})),
        "tooltip": _shown(EVALUATION_HEADINGS),
    }
    walks = alt.Chart().mark_line(point=alt.OverlayMarkDef(size=20))
    rule = alt.Chart().mark_rule(color=look.INK, opacity=0.7, strokeDash=[2, 3])
    panel = alt.layer(
        walks.encode(**encodings, **look.dash(runs)),
        *(rule.encode(y=alt.YDatum(goal)) for goal in goals),
    )
    header = alt.Header(labelExpr="'learning rate: ' + datum.value")
    width = look.WIDTH // 2 - 20 if several else look.WIDTH
    return alt.FacetChart(
        data=alt.Data(values=marks),
        spec=panel.properties(width=width, height=look.HEIGHT),
        facet=alt.Facet("learning rate:N", title=None, header=header),
        columns=2,
        config=look.config(),
    )


def _on(points: Sequence[Row]) -> alt.Chart:
    return alt.Chart(alt.Data(values=list(points)))


def _shown(headings: list[str]) -> list[alt.Tooltip]:
    return [alt.Tooltip(heading, type="nominal") for heading in headings]
