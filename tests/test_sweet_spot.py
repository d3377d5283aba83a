"""The search for the sweet spot, on machines made up and on a real one."""

import io
import math
import random
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench import cases
from bench.answer.line import LawError
from bench.search import findings, race
from bench.search.command import main
from bench.search.race import CAP, CONTENDING, Ending, TimeUpError, Trial, TrialResult
from mnist_mlp.engines.eager import Eager
from mnist_mlp.engines.engine import CompilerError
from tests import idx

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
    """With no noise, the first seed tells."""
    machine = Machine()
    found = race.candidates(search(machine))

    first = race.best(found).median_seconds
    for one in found:
        expected = 3 if machine.truth(one.batch_size) <= CONTENDING * first else 1
        assert len(one.runs) == expected


def test_first_seeds_come_first():
    """One run of each size tells who is out, before any second one."""
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


def test_the_prediction_is_that_of_the_two_laws():
    """The square root of B_half times B_crit."""
    machine = Machine(o=2e-4, c=5e-6, b_crit=40)

    predicted = race.predict(search(machine), "noise-limited")

    assert predicted.batch_size.value == pytest.approx(40, rel=0.01)
    assert predicted.largest_misfit < 0.01


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


@pytest.fixture
def data_root(tmp_path):
    """A small random data set."""
    idx.write_dataset(tmp_path / "RandomMNIST" / "raw", train=100, test=50)
    (tmp_path / "RandomMNIST").rename(tmp_path / "KMNIST")
    return f"--data-root={tmp_path}"


def test_a_search_prints_runs_tables_and_the_answer(data_root, capsys):
    """A target that guessing reaches makes it short."""
    code = main([data_root, "--engine=eager", "--target-accuracy=0.01", "--time-limit=60"])

    output = capsys.readouterr().out
    assert code == 0
    assert output.startswith("KMNIST, eager engine, cpu, ")
    for rule in ("noise-limited", "fixed"):
        assert f"{rule}, batch size 8, seed 0: reached " in output
        assert any(line.strip() == f"{rule} learning rate" for line in output.splitlines())
    assert output.count("is fastest: ") == 2
    assert "Over all, the " in output
    assert "more to run" not in output


def test_a_search_keeps_to_its_budget_and_precision(data_root, capsys):
    """A run that misses the target ends with the last of its epochs."""
    words = ["--precision=bfloat16", "--max-epochs=2", "--lr-rules=fixed", "--seeds=0"]
    code = main([data_root, *words, "--target-accuracy=0.9"])

    output = capsys.readouterr().out
    assert code == 0
    assert "threads, bfloat16: to test accuracy 0.9 in at most 2 epochs" in output
    assert "fixed, batch size 8, seed 0: stopped after 2 epochs, at " in output
    assert "26 steps" in output


def test_a_target_out_of_reach_is_said_in_a_sentence(data_root, capsys):
    """For labels that mean nothing, 0.9 is."""
    code = main([data_root, "--engine=eager", "--target-accuracy=0.9", "--lr-rules=linear"])

    output = capsys.readouterr().out
    assert code == 0
    assert "No batch size reached test accuracy 0.9: " in output
    assert "is fastest" not in output
    assert "best" not in output


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--time-limit=1e-9"], 1, "no run ended within 1e-09 s: allow more with --time-limit"),
        (["--data-root=nowhere"], 1, "error: nowhere holds no folder NAME/raw"),
        (["--lr-rules=cubic"], 2, "'cubic' is no learning rate rule: choose from fixed, linear"),
        (["--seeds=0,0"], 2, "'0,0' names a value twice"),
        (["--time-limit=0"], 2, "'0' is not a number above 0"),
        (["--max-epochs=0"], 2, "'0' is not a whole number from 1"),
        (["--precision=bfloat16"], 1, "error: the eager engine has no bfloat16, only float32: "),
    ],
    ids=["no_time", "no_data", "no_rule", "seed_twice", "no_limit", "no_epochs", "no_precision"],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(data_root, capsys, words, code, sentence):
    """With the command line's exit code, or 1."""
    try:
        ended = main([data_root, "--engine=eager", *words])
    except SystemExit as refused:
        ended = refused.code

    assert ended == code
    assert sentence in capsys.readouterr().err


def test_without_a_compiler_the_command_says_so(data_root, capsys, monkeypatch):
    """And falls back to nothing slower."""

    def fail(*_):
        raise CompilerError("no working compiler here")

    monkeypatch.setattr(Eager, "prepare", fail)

    assert main([data_root, "--engine=eager"]) == 1
    assert capsys.readouterr().err == "error: no working compiler here\n"


def test_ctrl_c_prints_what_is_there(tmp_path):
    """Exit code 130, no traceback."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=2_000, test=500)
    program = f"import sys; from {main.__module__} import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", program, f"--data-root={tmp_path}", "--engine=eager"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "No batch size reached test accuracy 0.95: " in output
    assert ", and ended with more to run for fixed and noise-limited." in output
    assert errors.endswith("interrupted\n")
    assert "Traceback" not in errors
