"""Predictions across engines, on machines that are made up."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from bench.printing import show
from bench.study import transfer, transfer_words
from bench.study.reference import Reference
from bench.study.transfer import Cell, Checked
from bench.study.trial import Outcome

OVERHEADS = {"loader": 3e-4, "eager": 1e-4, "compiled": 5e-5, "native": 1e-6}
SMALLEST, CRITICAL = 800, 35


def outcome(task, *, random=None):
    """A training that follows the law of steps, to each target alike."""
    steps = round(SMALLEST * (1 + CRITICAL / task.setting.batch_size))
    if random:
        steps = round(steps * math.exp(random.normal(0, 0.1)))
    return Outcome(bounds=dict.fromkeys(task.targets, (steps - 1, steps)), steps=steps)


def step_seconds(subjects, setting, **_):
    """Steps of o + c B, more threads paying for large batches."""
    return {
        subject: [[OVERHEADS[subject.engine] + 6e-6 / setting.threads * subject.batch_size] * 3] * 2
        for subject in subjects
    }


@pytest.fixture
def checked(monkeypatch):
    """Every cell, on a machine without noise."""
    monkeypatch.setattr(transfer.step_time, "measure", step_seconds)
    monkeypatch.setattr(transfer.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(Reference, "runs", runs_of_the_law)
    random = np.random.default_rng(0)
    return check(lambda task: outcome(task, random=random))


def runs_of_the_law(*_, **__):
    """Three seeds at each size."""
    steps = {size: SMALLEST * (1 + CRITICAL / size) for size in transfer.BATCH_SIZES}
    return {size: dict.fromkeys(range(3), (each - 1, each)) for size, each in steps.items()}


def check(train):
    """Every cell, with trainings that are made up."""
    return list(
        transfer.check(
            Reference.shipped(),
            lambda tasks: [train(task) for task in tasks],
            transfer.TimingSetting(threads=1),
            tell=lambda _: None,
        )
    )


def test_where_the_laws_hold_predictions_do(checked):
    """In all cells, though steps are those of other seeds and seconds those of four sizes."""
    assert len(checked) == 48
    assert {one.cell.engine for one in checked} == set(OVERHEADS)
    for one in checked:
        assert one.regret(one.predicted) <= 0.15
        assert {one.predicted, *one.cell.usual} <= set(one.measured)
        assert one.measured[one.predicted] == pytest.approx(one.predicted_seconds, rel=0.2)


def test_more_overhead_a_step_asks_for_larger_batches(checked):
    """By the root of the overheads, to the next power of two."""
    cells = {
        (one.cell.engine, one.cell.threads): one.predicted
        for one in checked
        if (one.cell.samples, one.cell.target) == (60_000, 0.95)
    }

    assert cells["loader", 1] == 32  # sqrt(50 x 35) = 42
    assert cells["native", 1] in {1, 2, 4}  # sqrt(0.17 x 35) = 2.4
    assert cells["loader", 2] >= cells["loader", 1]


def test_a_size_that_the_studied_seeds_missed_is_not_predicted(checked):
    """Nor a larger one, since the curve knows nothing of them."""

    def misses_from_64(task):
        found = outcome(task)
        return replace(found, bounds={}) if task.setting.batch_size >= 64 else found

    small = [one for one in check(misses_from_64) if one.cell.samples == 10_000]

    assert max(one.predicted for one in checked if one.cell.samples == 10_000) > 16
    assert all(one.predicted <= 16 for one in small)
    assert all(one.measured[128] == math.inf for one in small)


def test_failures_come_first():
    """And shares are of all cells."""
    good, bad = (
        Checked(
            cell=Cell(engine=engine, threads=1, samples=60_000, target=0.95),
            predicted=16,
            predicted_seconds=1.0,
            measured={8: 2.0, 16: seconds, 32: 1.0, 128: 4.0, 256: 9.0},
        )
        for engine, seconds in (("loader", 1.0), ("native", 1.3))
    )
    console = Console(file=io.StringIO(), width=140)

    show(transfer_words.report([good, bad]), console)

    text = console.file.getvalue()
    assert text.index("native") < text.index("loader")
    assert "The predicted size: regret at most 10 % in 50 % of 2 cells, at most 25 %" in text
    assert "32: regret at most 10 % in 100 % of 2 cells" in text
    assert "predicted 1 times, measured 0.5 times (off by a factor of 2)" in text
