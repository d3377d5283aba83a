"""What a study found, made up: steps that follow a law, at rates that follow another."""

import math

import numpy as np

from bench.best.reference import FreshTrainings, Reference, TunedRate

SIZES = (1, 4, 16, 64, 256)
TARGET = 0.95


def group(size, rate, judge, *, target=TARGET, scale=1.0, reached=True, seeds=6):
    """Runs whose steps follow S_min 1000, B_crit 20, a few per cent apart."""
    spread = np.random.default_rng(size).normal(0, 0.03, seeds)
    steps = [max(1, round(scale * 1000 * (1 + 20 / size) * math.exp(each))) for each in spread]
    bounds = {target: [(each - each // 40, each if reached else None) for each in steps]}
    return FreshTrainings(
        judged_on=judge,
        batch_size=size,
        learning_rate=rate,
        seeds=list(range(100, 100 + seeds)),
        bounds=bounds,
    )


def rate_at(size):
    """A rate that follows lr_max 2, B_noise 20."""
    return 2 / (1 + 20 / size)


def findings(*, data="MNIST", target=TARGET, scale=1.0, **changed):
    """A study of five batch sizes, whose fixed rate reached the target at the smallest alone."""
    fresh = [
        group(size, rate_at(size), judge, target=target, scale=scale)
        for size in SIZES
        for judge in ("validation", "test")
    ]
    tuned = [TunedRate(batch_size=size, learning_rate=rate_at(size)) for size in SIZES]
    study = {
        "data": data,
        "commit": "0123456789",
        "started": "2026-01-02T03:04:05+00:00",
        "torch": "2.15.0",
        "numba": "0.68.1",
        "command": "python -m bench steps FILE",
    }
    return Reference(**{"study": study, "tuned": {target: tuned}, "fresh": fresh} | changed)
