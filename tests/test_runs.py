"""Saved runs become measured cases, or are refused in a sentence."""

import copy
import io
import json
import math
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import __main__ as bench_main
from bench.runs import json_lines
from bench.runs.seeds import Seeds, by_series, step_seconds
from mnist_mlp.errors import UserError
from tests import runs
from tests.runs import case, measured, training


def test_step_times_come_from_steps_or_from_epochs():
    """An epoch of 130 samples takes 3 steps of 64."""
    run = measured(
        case("step", 1, 0.001),
        case("step", 64, 0.2),
        case("epoch", 64, 0.3, samples_per_second=130 / 0.3),
        case("epoch", 256, 0.1, samples_per_second=130 / 0.1),
        case("step", 64, 7.0, engine="loader"),
        case("peer", 32, 7.0),
    )

    assert step_seconds(run, "eager", "step") == {1: 0.001, 64: 0.2}
    assert step_seconds(run, "eager", "epoch") == pytest.approx({64: 0.1})


def test_trainings_are_grouped_by_engine_rule_and_batch_size():
    """A run without a rule has a fixed rate; a seed that misses the target takes infinite time."""
    series = by_series(
        measured(
            training(64, 3.0, steps=30),
            training(4, 2.0, steps=20, lr_rule="fixed"),
            training(64, 9.0, steps=90, reached=False, lr_rule="fixed"),
            training(64, 1.0, steps=10, lr_rule="sqrt"),
            training(64, 5.0, steps=50, engine="loader"),
        )
    )

    assert list(series) == [("eager", "fixed"), ("eager", "sqrt"), ("loader", "fixed")]
    steps = {seeds.batch_size: seeds.steps for seeds in series["eager", "fixed"]}
    assert steps == {4: [20], 64: [30, math.inf]}
    assert series["eager", "sqrt"][0].seconds == [1.0]


@given(st.lists(st.tuples(st.floats(1e-6, 1e6), st.booleans()), min_size=1))
def test_the_median_over_seeds_is_one_of_them_or_infinite(seeds):
    """A median is infinite if half the seeds or more missed; of two middle ones, the larger."""
    trained = Seeds(cases=measured(*(training(16, s, reached=reached) for s, reached in seeds)))
    times = sorted(s if reached else math.inf for s, reached in seeds)

    assert trained.median_seconds == times[len(times) // 2]
    assert trained.is_censored == (2 * trained.reached <= len(seeds))
    if not trained.is_censored:
        assert trained.middle.seconds == trained.median_seconds


WHOLE_RUN = runs.whole_run()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value, path=()):
    """Every path to a field or an element, the deepest included."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield (*path, key)
        if isinstance(value[key], dict | list):
            yield from places(value[key], (*path, key))


@st.composite
def damaged_runs(draw):
    """A real run of which up to four fields are gone or hold any JSON value."""
    run = copy.deepcopy(WHOLE_RUN)
    for _ in range(draw(st.integers(1, 4))):
        *way, last = draw(st.sampled_from(list(places(run))))
        parent = reduce(getitem, way, run)
        if len(run) == 1 or draw(st.booleans()):
            parent[last] = draw(json_values)
        else:
            del parent[last]
    return run


def outcome(*words):
    """The exit code of a command and what it prints to standard error."""
    errors = io.StringIO()
    with redirect_stderr(errors), redirect_stdout(io.StringIO()):
        code = bench_main.main([str(word) for word in words])
    return code, errors.getvalue()


@given(damaged_runs())
def test_a_damaged_run_gives_a_result_or_one_sentence(run):
    """Whatever a field holds, `report` ends well or with one short sentence."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "damaged.json").write_text(json.dumps(run))

        report = outcome("report", folder / "damaged.json", "-o", folder / "report.html")

    code, errors = report
    assert code in {0, 1}
    assert errors.count("\n") == (code == 1)
    assert len(errors) < 600, errors


def test_a_run_saved_before_rules_and_traces_is_read():
    """A field that an older run lacks gets the value that held then."""
    (old,) = measured(training(16, 3.0))

    assert (old.lr_rule, old.trace) == ("fixed", ())


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"[1]\n", "line 1 of .* is not a JSON object"), (b"{}\nx\n", "line 2 of .* is not JSON")],
)
def test_lines_that_are_no_json_are_refused_by_number(tmp_path, content, words):
    """The error for a line that is no JSON names the file and the line's number."""
    (tmp_path / "lines.jsonl").write_bytes(content)

    with pytest.raises(UserError, match=words):
        json_lines.read(tmp_path / "lines.jsonl")
