"""Saved runs become measured cases, or a sentence."""

import copy
import io
import json
import math
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import __main__ as bench_main
from bench.runs import files, selection
from bench.runs.seeds import Seeds, by_series
from tests import runs
from tests.runs import case, measured, training


def test_step_times_come_from_epochs_where_some_were_timed():
    """An epoch of 130 samples takes 3 steps of 64."""
    run = measured(
        case("step", 1, 0.001),
        case("step", 64, 0.2),
        case("epoch", 64, 0.3, samples_per_second=130 / 0.3),
        case("step", 64, 7.0, engine="loader"),
        case("peer", 32, 7.0),
    )

    assert selection.step_seconds(run, "eager") == pytest.approx({1: 0.001, 64: 0.1})


def test_peak_memory_is_that_of_epochs():
    """Steps hold no shuffled index."""
    run = measured(
        case("epoch", 64, peak_memory_bytes=5_000_000),
        case("step", 64, peak_memory_bytes=1_000_000),
    )

    assert selection.peak_bytes(run, "eager") == {64: 5_000_000}


def test_trainings_are_grouped_by_engine_rule_and_batch_size():
    """A run without a rule is of a fixed rate, and a seed that misses the target takes for ever."""
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
    """Infinite where half the seeds or more missed; of an even number the larger middle one."""
    found = Seeds(cases=measured(*(training(16, s, reached=reached) for s, reached in seeds)))
    times = sorted(s if reached else math.inf for s, reached in seeds)

    assert found.median_seconds == times[len(times) // 2]
    assert found.is_censored == (2 * found.reached <= len(seeds))


SIZES = (1, 16, 64, 256)
WHOLE_RUN = runs.saved(
    *(case(verb, size, 1e-3 * size) for verb in ("step", "epoch") for size in SIZES),
    *(
        runs.traced(size, 1 + 20 / size + seed / 10, seed=seed, lr_rule=rule, reached=size < 256)
        for rule in ("fixed", "noise-limited")
        for size in SIZES
        for seed in (0, 1)
    ),
)
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


PLACES = list(places(WHOLE_RUN))


@st.composite
def damaged_runs(draw):
    """A real run of which up to four fields are gone or hold any JSON value."""
    run = copy.deepcopy(WHOLE_RUN)
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4, unique=True)):
        parent = run
        try:
            for key in path[:-1]:
                parent = parent[key]
            if draw(st.booleans()):
                parent[path[-1]] = draw(json_values)
            else:
                del parent[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier damage took the place away
    return run


def outcome(*words):
    """The exit code of a command and what it prints to standard error."""
    errors = io.StringIO()
    with redirect_stderr(errors), redirect_stdout(io.StringIO()):
        code = bench_main.main([str(word) for word in words])
    return code, errors.getvalue()


@given(damaged_runs())
def test_a_damaged_run_gives_a_result_or_one_sentence(run):
    """For the report and for the gate, whatever a field holds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "damaged.json").write_text(json.dumps(run))
        (folder / "whole.json").write_text(json.dumps(WHOLE_RUN | {"datetime": "later"}))

        report = outcome("report", folder / "damaged.json", "-o", folder / "report.html")
        gate = outcome(
            "gate", "--saved", folder / "whole.json", "--against", folder / "damaged.json"
        )

    assert report[0] in {0, 1}
    assert gate[0] in {0, 1, 2, 3, 4}
    for code, errors in (report, gate):
        assert errors.count("\n") == (code in {1, 2, 4} and bool(errors))
        assert len(errors) < 600, errors


def test_a_run_saved_before_rules_and_traces_is_read():
    """What older runs lack has the value that held then; all of today train in float32."""
    (one,) = measured(training(16, 3.0))

    assert (one.precision, one.lr_rule, one.trace) == ("float32", "fixed", ())


def test_without_a_file_the_newest_saved_run_is_found(tmp_path, monkeypatch):
    """In pytest-benchmark's storage, where pytest was started."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(files.SavedRunError, match="--benchmark-autosave"):
        files.newest()
