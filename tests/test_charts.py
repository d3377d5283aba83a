"""What the figures of saved runs are made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report import charts, page, rows
from tests.runs import case, measured, training

SIZES = (1, 16, 256)


def epoch(batch_size):
    """The epoch of steps of 100 us and 10 us a sample."""
    return case("epoch", batch_size, 60_000 / batch_size * 1e-4 + 0.6)


def test_runs_saved_before_there_were_rules_and_traces_are_fixed_and_untraced():
    """They stay readable."""
    runs = {"old": measured(training(16, 3.0), epoch(16))}
    figures = {figure.name: figure for figure in charts.figures(runs)}

    assert figures["time-to-target"].rows[0]["learning rate"] == "fixed"
    assert figures["accuracy"].chart is None


def test_a_seed_that_missed_is_hollow_at_the_time_it_spent():
    """And counts as longer than all others in its median."""
    cases = measured(
        *(training(16, 3.0), training(16, 4.0, seed=1), training(16, 2.0, seed=2, reached=False)),
        *(training(64, 5.0, reached=False), training(64, 3.0, seed=1)),
    )
    figure = charts.time_to_target({"one": cases})
    (hollow,) = (
        layer
        for layer in figure.chart.to_dict()["layer"]
        if layer["mark"] == {"type": "point", "filled": False}
    )

    said = {row["batch size"]: (row["median"], row["reached by"]) for row in figure.rows}
    assert said == {16: ("4 s", "2 of 3 seeds"), 64: ("not reached", "1 of 2 seeds")}
    assert [row["seconds"] for row in hollow["data"]["values"]] == [2.0, 5.0]


def test_several_runs_overlay_each_with_its_dash():
    """One alone needs none."""
    cases = measured(*map(epoch, SIZES))
    runs = {"one": cases, "other": cases}
    both, alone = (
        charts.epoch_time(drawn).chart.to_dict()["layer"][0]["encoding"]
        for drawn in (runs, {"one": runs["one"]})
    )

    assert both["strokeDash"]["scale"]["domain"] == ["one", "other"]
    assert "strokeDash" not in alone


@pytest.mark.parametrize(
    ("slower", "words"),
    [
        (
            (3.0, 4.0, 5.0),
            "The seeds of 16 overlap with those of 64: which is faster is not known. Two equal ",
        ),
        ((9.0, 9.1, 9.2), "All seeds of every other batch size took longer than all of 16. "),
        ((3.0,), "With one seed each, batch sizes cannot be told apart"),
    ],
    ids="seconds={}".format,
)
def test_batch_sizes_are_told_apart_by_their_seeds(slower, words):
    """With one seed, they aren't."""
    cases = measured(
        *(
            training(size, seconds, seed=seed)
            for size, times in ((16, (2.0, 2.5, 3.5)[: len(slower)]), (64, slower))
            for seed, seconds in enumerate(times)
        )
    )
    (finding,) = page.findings(cases)

    assert finding.subject == "eager engine, fixed learning rate"
    assert words in finding.sentence


@given(st.sets(st.integers(1, 60_000), min_size=1))
def test_a_colour_is_left_for_every_batch_size_that_is_traced(batch_sizes):
    """The smallest and the largest are among them."""
    chosen = rows.spread_out(batch_sizes)

    assert chosen == sorted(set(chosen) & batch_sizes)
    assert {chosen[0], chosen[-1]} == {min(batch_sizes), max(batch_sizes)}
    assert len(chosen) == min(len(batch_sizes), rows.TRACED_BATCH_SIZES)


@given(
    st.lists(st.tuples(st.floats(1e-6, 1e6), st.booleans()), min_size=1),
)
def test_a_median_lies_within_its_bar_or_is_none(seeds):
    """It is none where half the seeds or more missed."""
    cases = measured(
        *(
            training(16, seconds, seed=seed, reached=reached)
            for seed, (seconds, reached) in enumerate(seeds)
        )
    )
    (row,) = rows.medians(rows.seeds({"one": cases}), "seconds", str)
    missed = sum(not reached for _, reached in seeds)

    if 2 * missed >= len(seeds):
        assert row["seconds"] is None
    else:
        assert row["least"] <= row["seconds"] <= row["most"]
