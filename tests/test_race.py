"""The search for the best batch size, on machines that are made up."""

import io
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench.best import findings, race
from bench.best.race import CAP, DEVIATIONS, SPREAD, Ending, Trial, TrialResult
from bench.laws.line import LawError
from tests.machine import DAY, EVALUATING_SECONDS, Machine, best, machines, search, sizes


@pytest.mark.parametrize("time_limit", [90, DAY], ids="time_limit={}".format)
def test_the_search_finds_a_size_within_a_tenth_of_the_best_of_the_grid(time_limit):
    """In nearly all searches with the noise of a calm machine."""
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
        found = best(search(machine, time_limit=time_limit))
        missed += machine.truth(found.batch_size) > 1.1 * machine.shortest()

    assert missed <= 6


@given(machine=machines(), time_limit=st.floats(0.1, 200))
def test_every_run_is_in_the_result_and_none_starts_when_the_time_is_up(machine, time_limit):
    """Each a size and seed of its own."""
    runs = search(machine, time_limit=time_limit)

    assert runs == machine.measured
    assert machine.now <= time_limit
    assert len({(run.trial.batch_size, run.trial.seed) for run in runs}) == len(runs)
    assert all(1 <= size <= machine.samples for size in sizes(runs))


@given(machine=machines(), time_limit=st.floats(0.1, 20))
def test_a_measure_that_ignores_the_deadline_costs_one_run_at_most(machine, time_limit):
    """Whatever ran last began in time."""
    started = []

    def measure(trial):
        started.append(machine.now)
        return machine.measure(trial)

    runs = list(
        race.search(
            measure,
            lr_rules=("fixed", "sqrt"),
            seeds=(0, 1),
            samples=machine.samples,
            deadline=time_limit,
            clock=lambda: machine.now,
        )
    )

    assert len(runs) == len(started)
    assert all(moment < time_limit for moment in started)


@given(machine=machines())
def test_the_best_lies_between_two_others_or_at_the_end_of_all_sizes(machine):
    """The powers beside it ran, and 3/4 and 3/2 of it."""
    runs = search(machine)
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
        assert {one for one in between if one == int(one) <= machine.samples} <= sizes(runs)


@given(samples=st.integers(1, 100_000))
def test_the_search_goes_as_far_as_either_end(samples):
    """To 1 where each sample costs and none helps, to the training set where only steps cost."""
    small = Machine(samples=samples, o=0, b_crit=0, s_min=1)
    large = Machine(samples=samples, c=0, b_crit=1e6, s_min=1e-6)

    assert best(search(small)).batch_size == 1
    assert best(search(large)).batch_size == samples


@given(machine=machines())
def test_a_run_is_capped_at_a_multiple_of_the_best_and_counts_as_slower(machine):
    """It is neither dropped nor taken for a time to target."""
    runs = search(machine)

    for number, run in enumerate(runs):
        before = [one.median_seconds for one in race.candidates(runs[:number])]
        fastest = min(before, default=math.inf)
        assert run.trial.cap_seconds == CAP * fastest or fastest == math.inf
        assert run.reached or run.seconds_to_target == math.inf


def test_what_is_clearly_slower_gets_no_more_seeds_and_what_is_not_gets_all():
    """One seed does not rule out what two seeds may differ by."""
    machine = Machine()
    found = race.candidates(search(machine))

    first = race.best(found)
    assert len(first.runs) == 3
    apart = math.exp(DEVIATIONS * SPREAD * math.sqrt(2))
    for one in found:
        if machine.truth(one.batch_size) > apart * first.median_seconds:
            assert len(one.runs) == 1


def test_seeds_that_differ_keep_sizes_in_the_race():
    """Where the seeds of a size differ by half, a size that is slower by half is not ruled out."""
    seconds = {4: (1.0, 1.5, 0.7), 8: (1.1, 0.75, 1.6), 16: (1.6,), 64: (9.0,)}
    runs = [
        run_of(size, seed, spent, Ending.REACHED)
        for size, of in seconds.items()
        for seed, spent in enumerate(of)
    ]
    calm = [
        run_of(size, seed, spent, Ending.REACHED)
        for size, spent in ((4, 1.0), (8, 1.1), (16, 1.6), (64, 9.0))
        for seed in range(3 if size < 16 else 1)
    ]

    restless, quiet = (race.contenders(race.candidates(each)) for each in (runs, calm))

    assert [one.batch_size for one in restless] == [4, 8, 16]
    assert [one.batch_size for one in quiet] == [4]


def test_first_seeds_come_first():
    """Each size runs once, and slow sizes are out, before any size runs a second time."""
    seeds = [run.trial.seed for run in search(Machine())]

    assert seeds == sorted(seeds)
    assert set(seeds) == {0, 1, 2}


def run_of(size, seed, train_seconds, ending):
    """A run, as if made by hand."""
    return TrialResult(
        trial=Trial(lr_rule="fixed", batch_size=size, seed=seed, cap_seconds=math.inf),
        prepare_seconds=0,
        train_seconds=train_seconds,
        steps=1000,
        steps_before=900,
        test_accuracy=0.95,
        ending=ending,
    )


def test_a_size_whose_run_was_capped_is_back_in_when_the_best_turns_out_slower():
    """A lucky first seed does not decide."""
    lucky = [
        run_of(64, 0, 0.5, Ending.REACHED),
        run_of(32, 0, 1.0, Ending.CAPPED),
        run_of(64, 1, 0.9, Ending.REACHED),
        run_of(64, 2, 0.9, Ending.REACHED),
    ]

    before, after = (race.contenders(race.candidates(lucky[:n])) for n in (2, 4))
    assert [one.batch_size for one in before] == [64]
    assert [one.batch_size for one in after] == [32, 64]


def test_a_capped_seed_of_the_best_does_not_end_the_search():
    """It counts as the longer of the two, and the next seed decides."""
    slow = [run_of(size, 0, 1.3, Ending.CAPPED) for size in (1, 2, 8)]
    split = [run_of(4, 0, 0.5, Ending.REACHED), run_of(4, 1, 0.9, Ending.CAPPED), *slow]
    between = [run_of(size, 0, 1.3, Ending.CAPPED) for size in (3, 6)]

    found = race.candidates([*split, *between])
    trial = race.next_trial(found, lr_rule="fixed", seeds=(0, 1, 2), samples=8)

    assert (trial.batch_size, trial.seed) == (4, 2)
    assert trial.cap_seconds == CAP * 0.9


def test_rules_have_the_same_share_of_the_time():
    """A slow one does not starve the others."""
    runs = search(Machine(), lr_rules=("noise-limited", "fixed", "sqrt"), time_limit=30)

    seconds = dict.fromkeys(("noise-limited", "fixed", "sqrt"), 0.0)
    for run in runs:
        seconds[run.trial.lr_rule] += run.train_seconds + EVALUATING_SECONDS
    assert max(seconds.values()) - min(seconds.values()) < 5


@given(samples=st.integers(1, 100_000))
def test_a_rule_that_never_reaches_the_target_ends_the_search(samples):
    """After one seed of each size, toward where it came nearest."""
    runs = search(Machine(samples=samples, s_min=1e9, b_crit=1))

    assert best(runs).is_censored
    assert not race.contenders(race.candidates(runs))
    assert {run.trial.seed for run in runs} == {0}


def test_the_winner_is_confirmed_by_seeds_of_its_own():
    """Which are none of those that chose it; without a winner there are none."""
    runs = search(Machine(), lr_rules=("noise-limited", "fixed"))

    trials = race.confirming(runs, seeds=range(2, 7))

    first = race.best(race.candidates(runs))
    assert {trial.batch_size for trial in trials} == {first.batch_size}
    assert [trial.seed for trial in trials] == [3, 4, 5, 6]
    assert race.confirming(search(Machine(s_min=1e9)), seeds=range(9)) == []
    assert race.confirming([], seeds=range(9)) == []


def test_the_prediction_is_that_of_the_two_laws():
    """The square root of B_half times B_crit, as far as steps are known: to a tenth."""
    machine = Machine(o=2e-4, c=5e-6, b_crit=40)

    predicted = race.predict(search(machine), "noise-limited")

    assert predicted.batch_size.value == pytest.approx(40, rel=0.05)
    assert predicted.largest_misfit < 0.06


def test_without_enough_sizes_that_reached_it_there_is_no_prediction():
    """The law's own sentence says why."""
    with pytest.raises(LawError, match="a law needs 3 batch sizes that reached the target"):
        race.predict(search(Machine(s_min=1e9)), "noise-limited")


def test_the_table_tells_what_a_capped_run_took_at_least():
    """And marks the fastest, which has a row as every size has."""
    found = race.candidates(search(Machine(noise=0.05)))
    console = Console(file=io.StringIO(), width=100)
    console.print(findings.table(found, lr_rule="noise-limited", rate=0.1))
    rows = [line for line in console.file.getvalue().splitlines() if line.startswith("│")]

    assert len(rows) == len(found)
    assert sum("best" in row for row in rows) == 1
    assert all(
        ("> " in row) == (one.reached < len(one.runs)) for row, one in zip(rows, found, strict=True)
    )
    assert any("> " in row for row in rows)
