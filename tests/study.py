"""A made-up study: its steps follow one law, and its learning rates another."""

import math

import numpy as np

from bench.best.reference import FreshTrainings, Reference, TunedRate

SIZES = (1, 4, 16, 64, 256)
TARGET = 0.95


def group(size, judge, *, target, scale):
    """Trainings of six seeds whose steps follow S_min = 1000, B_crit = 20, with 3 % noise."""
    spread = np.random.default_rng(size).normal(0, 0.03, 6)
    steps = [max(1, round(scale * 1000 * (1 + 20 / size) * math.exp(each))) for each in spread]
    return FreshTrainings(
        judged_on=judge,
        batch_size=size,
        learning_rate=rate_at(size),
        seeds=list(range(100, 106)),
        bounds={target: [(each - each // 40, each) for each in steps]},
    )


def rate_at(size):
    """The learning rate of a law with lr_max = 2 and B_noise = 20."""
    return 2 / (1 + 20 / size)


def findings(*, target=TARGET, scale=1.0):
    """A study of five batch sizes: a tuned rate each, and six fresh seeds on both sets."""
    fresh = [
        group(size, judge, target=target, scale=scale)
        for size in SIZES
        for judge in ("validation", "test")
    ]
    tuned = [TunedRate(batch_size=size, learning_rate=rate_at(size)) for size in SIZES]
    study = {
        "data": "MNIST",
        "commit": "0123456789",
        "started": "2026-01-02T03:04:05+00:00",
        "torch": "2.15.0",
        "numba": "0.68.1",
        "command": "python -m bench steps FILE",
    }
    return Reference(study=study, tuned={target: tuned}, fresh=fresh)
