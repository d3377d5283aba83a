"""A machine made up, on which a training takes no time: laws of steps and seconds, and noise."""

import math
import random

from hypothesis import strategies as st

from bench import cases
from bench.best import race
from bench.best.race import Ending, TimeUpError, TrialResult

MNIST = 60_000
EVALUATING_SECONDS = 0.8  # of a run
GRID = 1.1
DAY = 86_400


class Machine:
    """Trains in S_min (1 + B_crit / B) steps of o + c B seconds, more or less, in no time."""

    def __init__(self, *, samples=MNIST, o=2e-4, c=6e-6, s_min=850, b_crit=40, noise=0.0, seed=0):
        self.samples = samples
        self.o, self.c, self.s_min, self.b_crit = o, c, s_min, b_crit
        self.noise, self.random = noise, random.Random(seed)
        self.now, self.deadline = 0.0, math.inf
        self.measured = []

    def steps(self, size):
        return self.s_min * (1 + self.b_crit / size)

    def step_seconds(self, size):
        return self.o + self.c * size

    def budget(self, size):
        return cases.MAX_EPOCHS * math.ceil(self.samples / size)

    def truth(self, size):
        """Seconds to the target."""
        steps = self.steps(size)
        return steps * self.step_seconds(size) if steps <= self.budget(size) else math.inf

    def shortest(self):
        """The least on the whole grid."""
        powers = [1 << power for power in range(self.samples.bit_length())]
        grid = [*powers, *(3 * power for power in powers), self.samples]
        return min(self.truth(size) for size in grid if size <= self.samples)

    def measure(self, trial):
        size = trial.batch_size
        steps, step_seconds = self.steps(size), self.step_seconds(size)
        if self.noise:
            steps = GRID ** math.ceil(math.log(self._noisy(steps), GRID))
            step_seconds = self._noisy(step_seconds)
        steps_made = min(steps, self.budget(size), trial.cap_seconds / step_seconds)
        self.now += steps_made * step_seconds + EVALUATING_SECONDS
        if self.now >= self.deadline:
            self.now = self.deadline
            raise TimeUpError
        ending = Ending.REACHED if steps_made == steps else Ending.CAPPED
        if steps_made == self.budget(size) < steps:
            ending = Ending.MISSED
        run = TrialResult(
            trial=trial,
            prepare_seconds=0,
            train_seconds=steps_made * step_seconds,
            steps=max(1, round(steps_made)),
            steps_before=round(steps_made / 1.1),
            test_accuracy=0.95 * steps_made / steps,
            ending=ending,
        )
        self.measured.append(run)
        return run

    def _noisy(self, value):
        return value * self.random.lognormvariate(0, self.noise)


def search(machine, *, lr_rules=("noise-limited",), seeds=(0, 1, 2), time_limit=DAY):
    """All runs of a search."""
    machine.deadline = machine.now + time_limit
    return list(
        race.search(
            machine.measure,
            lr_rules=lr_rules,
            seeds=seeds,
            samples=machine.samples,
            deadline=machine.deadline,
            clock=lambda: machine.now,
        )
    )


def best(runs):
    """The fastest candidate of a search with one rule."""
    return race.best(race.candidates(runs))


def sizes(runs):
    """Every batch size that ran."""
    return {run.trial.batch_size for run in runs}


@st.composite
def machines(draw):
    """From slow to fast, calm and noisy, with B* at either end or between."""
    return Machine(
        samples=draw(st.integers(1, 100_000)),
        o=draw(st.floats(1e-6, 1e-3)),
        c=draw(st.floats(1e-8, 1e-4)),
        s_min=draw(st.floats(1, 5000)),
        b_crit=draw(st.floats(0.1, 10_000)),
        noise=draw(st.sampled_from([0.0, 0.05, 0.3])),
        seed=draw(st.integers(0, 1000)),
    )
