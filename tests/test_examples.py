"""The examples, which users copy, fit on a page, load, and learn."""

from dataclasses import replace
from pathlib import Path

import pytest

from mnist_mlp import cache, engines, training
from mnist_mlp.task_source import Source
from tests.strategies import generator

MOST_LINES = 40

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))

for_each_example = pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)


@for_each_example
def test_an_example_fits_on_a_page(file):
    """An example has at most `MOST_LINES` lines, docstrings and imports included."""
    assert len(file.read_text().splitlines()) <= MOST_LINES


@for_each_example
def test_an_example_learns(file, cache_dir, monkeypatch):
    """An example loads as with --task, and its training loss falls within a few steps."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(cache_dir))
    task = Source(task=str(file)).load()
    small = replace(task, train=task.train.head(256), test=task.test.head(64))
    engine = engines.new("eager", small)

    losses = [
        training.epoch(engine, small.train, 16, generator=generator(seed)) for seed in range(4)
    ]

    assert losses[-1] < losses[0]
