"""The race for the best batch size, on machines that are made up."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import cases
from bench.best import race
from bench.best.race import CAP, DEVIATIONS, SPREAD
from tests.runs import measured, training

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
        self.entries, self.trained = [], []

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

    def train(self, entry):
        size = entry.batch_size
        steps, step_seconds = self.steps(size), self.step_seconds(size)
        if self.noise:
            steps = GRID ** math.ceil(math.log(self._noisy(steps), GRID))
            step_seconds = self._noisy(step_seconds)
        steps_made = min(steps, self.budget(size), entry.cap_seconds / step_seconds)
        self.now += steps_made * step_seconds + EVALUATING_SECONDS
        if self.now >= self.deadline:
            self.now = self.deadline
            return None
        self.entries.append(entry)
        self.trained.append(
            run_of(
                size,
                entry.seed,
                steps_made * step_seconds,
                lr_rule=entry.lr_rule,
                steps=max(1, round(steps_made)),
                test_accuracy=0.95 * steps_made / steps,
                reached=steps_made == steps,
            )
        )
        return self.trained[-1]

    def _noisy(self, value):
        return value * self.random.lognormvariate(0, self.noise)


def run_of(size, seed, seconds, **info):
    """A run, as if made by hand."""
    info = {"lr_rule": "tuned", "steps": 1000, "samples_per_second": 1.0} | info
    return measured(training(size, seconds, seed=seed, **info))[0]


def race_on(machine, *, lr_rules=("tuned",), seeds=(0, 1, 2), time_limit=DAY):
    """All runs of a race."""
    machine.deadline = machine.now + time_limit
    return list(
        race.race(
            machine.train,
            lr_rules=lr_rules,
            seeds=seeds,
            samples=machine.samples,
            deadline=machine.deadline,
            clock=lambda: machine.now,
        )
    )


def candidates(runs):
    """The batch sizes of a race with one rule."""
    (ran,) = race.by_rule(runs).values()
    return ran


def best(runs):
    """The fastest batch size of a race with one rule."""
    return race.best(candidates(runs))


def sizes(runs):
    """Every batch size that ran."""
    return {run.batch_size for run in runs}


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


@pytest.mark.parametrize("time_limit", [90, DAY], ids="time_limit={}".format)
def test_the_race_finds_a_size_within_a_tenth_of_the_best_of_the_grid(time_limit):
    """In nearly all races with the noise of a calm machine."""
    randomly, missed = random.Random(0), 0
    for seed in range(200):
        machine = Machine(
            o=10 ** randomly.uniform(-5, -3.5),
            c=10 ** randomly.uniform(-6, -5),
            s_min=randomly.uniform(500, 1500),
            b_crit=10 ** randomly.uniform(0.5, 2.5),
            noise=0.05,
            seed=seed,
        )
        found = best(race_on(machine, time_limit=time_limit))
        missed += machine.truth(found.batch_size) > 1.1 * machine.shortest()

    assert missed <= 6


@given(machine=machines(), time_limit=st.floats(0.1, 200))
def test_every_run_is_in_the_result_and_none_starts_when_the_time_is_up(machine, time_limit):
    """Each has a size and seed of its own, and a cap that is a multiple of the best so far."""
    runs = race_on(machine, time_limit=time_limit)

    assert runs == machine.trained
    assert machine.now <= time_limit
    assert len({(run.batch_size, run.seed) for run in runs}) == len(runs)
    assert all(1 <= size <= machine.samples for size in sizes(runs))
    for number, entry in enumerate(machine.entries):
        ran = candidates(runs[:number]) if number else []
        if any(each.reached for each in ran):
            assert entry.cap_seconds == CAP * race.fewest_seconds(race.best(ran))


@given(machine=machines())
def test_the_best_lies_between_two_others_or_at_the_end_of_all_sizes(machine):
    """The powers beside it ran, and 3/4 and 3/2 of it."""
    runs = race_on(machine)
    size = best(runs).batch_size

    powers = {1 << power for power in range(17)} & set(range(1, machine.samples + 1))
    ladder = sorted(powers | {machine.samples})
    below, above = (
        [rung for rung in ladder if rung < size],
        [rung for rung in ladder if rung > size],
    )
    assert set(below[-1:] + above[:1]) <= sizes(runs)
    if size in powers - {machine.samples} and not best(runs).is_censored:
        between = {size * 3 / 4, size * 3 / 2}
        assert {each for each in between if each == int(each) <= machine.samples} <= sizes(runs)


@given(samples=st.integers(1, 100_000))
def test_the_race_goes_as_far_as_either_end(samples):
    """To 1 where each sample costs and none helps, to the training set where only steps cost."""
    small = Machine(samples=samples, o=0, b_crit=0, s_min=1)
    large = Machine(samples=samples, c=0, b_crit=1e6, s_min=1e-6)

    assert best(race_on(small)).batch_size == 1
    assert best(race_on(large)).batch_size == samples


def test_what_is_clearly_slower_gets_no_more_seeds_and_what_is_not_gets_all():
    """One seed does not rule out what two seeds may differ by, and all first seeds come first."""
    machine = Machine()
    runs = race_on(machine)
    ran, seeds = candidates(runs), [run.seed for run in runs]

    assert seeds == sorted(seeds)
    assert set(seeds) == {0, 1, 2}
    first = race.best(ran)
    assert len(first.cases) == 3
    apart = math.exp(DEVIATIONS * SPREAD * math.sqrt(2))
    for each in ran:
        if machine.truth(each.batch_size) > apart * first.median_seconds:
            assert len(each.cases) == 1


def test_seeds_that_differ_keep_sizes_in_the_race():
    """Where the seeds of a size differ by half, a size that is slower by half is not ruled out."""
    seconds = {4: (1.0, 1.5, 0.7), 8: (1.1, 0.75, 1.6), 16: (1.6,), 64: (9.0,)}
    runs = [
        run_of(size, seed, spent) for size, of in seconds.items() for seed, spent in enumerate(of)
    ]
    calm = [
        run_of(size, seed, spent)
        for size, spent in ((4, 1.0), (8, 1.1), (16, 1.6), (64, 9.0))
        for seed in range(3 if size < 16 else 1)
    ]

    noisy, quiet = (race.contenders(candidates(each)) for each in (runs, calm))

    assert [each.batch_size for each in noisy] == [4, 8, 16]
    assert [each.batch_size for each in quiet] == [4]


def test_a_size_whose_run_was_capped_is_back_in_when_the_best_turns_out_slower():
    """A lucky first seed does not decide."""
    lucky = [
        run_of(64, 0, 0.5),
        run_of(32, 0, 1.0, reached=False),
        run_of(64, 1, 0.9),
        run_of(64, 2, 0.9),
    ]

    before, after = (race.contenders(candidates(lucky[:n])) for n in (2, 4))
    assert [each.batch_size for each in before] == [64]
    assert [each.batch_size for each in after] == [32, 64]


def test_a_capped_seed_of_the_best_does_not_end_the_race():
    """It counts as the longer of the two, and the next seed decides."""
    slow = [run_of(size, 0, 1.3, reached=False) for size in (1, 2, 8)]
    split = [run_of(4, 0, 0.5), run_of(4, 1, 0.9, reached=False), *slow]
    between = [run_of(size, 0, 1.3, reached=False) for size in (3, 6)]

    ran = candidates([*split, *between])
    entry = race.next_entry(ran, "tuned", seeds=(0, 1, 2), samples=8)

    assert (entry.batch_size, entry.seed) == (4, 2)
    assert entry.cap_seconds == CAP * 0.9


def test_rules_have_the_same_share_of_the_time():
    """A slow one does not starve the others."""
    runs = race_on(Machine(), lr_rules=("tuned", "fixed", "sqrt"), time_limit=30)

    seconds = dict.fromkeys(("tuned", "fixed", "sqrt"), 0.0)
    for run in runs:
        seconds[run.lr_rule] += run.seconds + EVALUATING_SECONDS
    assert max(seconds.values()) - min(seconds.values()) < 5


@given(samples=st.integers(1, 100_000))
def test_a_rule_that_never_reaches_the_target_ends_the_race(samples):
    """After one seed of each size, toward where it came nearest."""
    runs = race_on(Machine(samples=samples, s_min=1e9, b_crit=1))

    assert best(runs).is_censored
    assert not race.contenders(candidates(runs))
    assert {run.seed for run in runs} == {0}


def test_the_fastest_is_confirmed_by_seeds_of_its_own():
    """None of these seeds chose it; where all missed the target there is nothing to confirm."""
    runs = race_on(Machine(), lr_rules=("tuned", "fixed"))

    entries = race.confirming(runs, seeds=range(2, 7))

    rules = race.by_rule(runs)
    firsts = [race.best(ran) for ran in rules.values()]
    fastest = min(firsts, key=lambda each: each.median_seconds)
    assert {entry.batch_size for entry in entries} == {fastest.batch_size}
    assert [entry.seed for entry in entries] == [3, 4, 5, 6]
    assert race.confirming(race_on(Machine(s_min=1e9)), seeds=range(9)) == []
    assert race.confirming([], seeds=range(9)) == []
