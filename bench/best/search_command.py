"""Which batch size trains a task fastest: steps of trainings made here, times measured seconds."""

import argparse
import math
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench import cases
from bench.best import answer, trainings
from bench.best.findings import Choice, Findings
from bench.best.known_command import PROCESSES, require_memory
from bench.best.ladder import rule_of_thumb
from bench.best.ledger import Ledger, header_of
from bench.best.progress import progress_line
from bench.best.trainings import TimeUpError, Trainings
from bench.best.trial import TEST, VALIDATION, Outcome, Trial
from bench.best.tuning import tune
from bench.measure import step_time
from bench.measure.fitting import fitting
from bench.measure.step_time import Setting, Subject
from bench.runs.files import STORAGE
from bench.units import counted
from mnist_mlp import atomic, device, engines, learning_rate
from mnist_mlp.batches import clamped
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.errors import UserError
from mnist_mlp.task import Task
from mnist_mlp.task_source import Source

SECONDS = 8.0  # length of each of two measurements of steps
TUNING_SEEDS = range(3)
FIRST_FRESH_SEED = 100
FRESH_SEEDS = 7
SCREENING_SEEDS = 4  # fresh seeds per finalist; finalists that stay rivals get the rest
OWN_SEEDS = 3  # fresh seeds for the user's own batch size and rate
RIVAL = 1.25  # choices up to this multiple of the best time get fresh seeds
MOST_FINALISTS = 6
RATES_PER_SIZE = 2  # finalists per size, since few seeds make the boldest rate look best
OF_INTEREST = 2.0  # a training ends at this multiple of the best time
TUNING_SHARE = 0.7  # share of the time limit; the rest is for fresh seeds
TUNED = "tuned"
REACH = 4  # sizes up to this multiple of the first trained size are always timed

Tell = Callable[[str], object]


def run(options: argparse.Namespace) -> int:
    """Search, and print the answer: all of it, or what there is when the search ends early."""
    started = time.monotonic()
    deadline = started + (options.time_limit or math.inf)
    device.use(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    source = Source.of(options)
    task = source.load().with_target_accuracy(options.target_accuracy)
    budget = options.max_epochs or cases.MAX_EPOCHS
    ledger = Ledger(options.runs or _default_file(task), header_of(task, max_epochs=budget))
    engine = options.engines[0] if options.engines else engines.suited(task, print)
    engines.new(engine, task)  # an error says what is missing
    findings = Findings(
        task=task,
        engine=engine,
        threads=torch.get_num_threads(),
        max_epochs=budget,
        rate=_rates(task, options.rates or TUNED),
    )
    print(
        f"{task.name}, {findings.engine} engine, {options.device}, "
        f"{counted(findings.threads, 'thread')}: to "
        f"{task.score_name} {task.target:g} in at most {budget} epochs\n"
        f"{counted(len(ledger.outcomes), 'training')} so far in {ledger.file}",
        flush=True,
    )
    search = Search(options=options, source=source, findings=findings)
    try:
        with progress_line() as tell:
            search.time_ladder(tell)
            with trainings.started(
                source, task, findings.engine, ledger, max_epochs=budget, deadline=deadline
            ) as train:
                search.tune(train, started + TUNING_SHARE * (deadline - started))
                search.time_steps({*findings.tuned, findings.own[0]}, tell)
                search.train_fresh_seeds(train)
    except TimeUpError:
        print(f"The time limit of {options.time_limit:g} s ended before all trainings were made.")
    finally:  # an interrupt or an error leaves results to print
        ledger.close()
        if findings.tuned:
            print("", *answer.lines(findings), sep="\n", flush=True)
    if not findings.tuned:
        raise nothing_trained(findings, options.time_limit)
    answer.write(findings, figure_file=options.figure, json_file=options.json)
    return 0


def nothing_trained(findings: Findings, time_limit: float | None) -> UserError:
    """Return the error of a search in which no batch size could train, or none had the time."""
    left_out = findings.fitting.left_out
    if time_limit is None or left_out.keys() >= set(findings.fitting.batch_sizes):
        size, reason = next(iter(left_out.items()))
        return UserError(
            f"{findings.task.name} cannot train at any batch size; at {size}: {reason}"
        )
    return UserError(
        f"no batch size was trained within {time_limit:g} s: allow more with --time-limit, or "
        "repeat the command, which continues"
    )


@dataclass(frozen=True, kw_only=True)
class Search:
    """The parts of a search, each of which adds to the findings."""

    options: argparse.Namespace
    source: Source
    findings: Findings

    def time_ladder(self, tell: Tell) -> None:
        """Find out which batch sizes can train, and time their steps in turns."""
        findings, task = self.findings, self.findings.task
        if not self.options.force:
            require_memory()
        samples, (own, _) = len(task.train), findings.own
        first = rule_of_thumb(samples)
        powers = {2**power for power in range(samples.bit_length())}
        asked = {min(size, samples) for size in self.options.batch_sizes or ()}
        findings.fitting = fitting(
            asked | {own} if asked else powers | {own},
            self.source,
            findings.engine,
            threads=findings.threads,
            needed=max([own, REACH * first, *asked]),
            force=self.options.force,
            tell=tell,
        )
        sizes = set(findings.fitting.batch_sizes)
        if not sizes:
            raise nothing_trained(findings, self.options.time_limit)
        self.time_steps(sizes, tell)

    def time_steps(self, sizes: Collection[int], tell: Tell) -> None:
        """Time the steps of some batch sizes; fewer sizes are timed more precisely."""
        findings = self.findings
        timed = step_time.measure(
            [
                Subject(engine=findings.engine, batch_size=size)
                for size in sorted(sizes)
                if size not in findings.fitting.left_out
            ],
            Setting(threads=findings.threads, source=self.source),
            seconds=SECONDS,
            processes=PROCESSES,
            tell=tell,
        )
        findings.turns |= {subject.batch_size: turns for subject, turns in timed.items()}

    def tune(self, train: Trainings, deadline: float) -> None:
        """Find the best rate of one batch size after another, until no size could be faster."""
        try:
            for size in self._sizes():
                try:
                    self._tune(size, train, deadline)
                except UnavailableError as error:  # such as on a short last batch
                    self.findings.fitting.left_out[size] = str(error)
            self.findings.is_complete = True
        except TimeUpError:
            if not self.findings.tuned:
                raise
            print("The rest of the time limit is for fresh seeds, so no more rates are tried.")

    def _sizes(self) -> Iterable[int]:
        asked = self.options.batch_sizes
        if asked:
            samples = len(self.findings.task.train)
            yield from dict.fromkeys(
                size for each in asked if (size := min(each, samples)) in self.findings.step_seconds
            )
            return
        while (size := self.findings.known().next_size()) is not None:
            yield size

    def _tune(self, size: int, train: Trainings, deadline: float) -> None:
        findings = self.findings
        most_steps = OF_INTEREST * findings.known().least_seconds / findings.step_seconds[size]

        def outcomes(pairs: Sequence[tuple[int, int]]) -> list[Outcome]:
            trials = [
                Trial(
                    judged_on=VALIDATION,
                    batch_size=size,
                    learning_rate=findings.rate(size, place),
                    seed=seed,
                )
                for place, seed in pairs
            ]
            return train(trials, most_steps=most_steps, deadline=deadline)

        is_tuned = (self.options.rates or TUNED) == TUNED
        near = self._near(size) if is_tuned else 0
        tuned = findings.tuned[size] = tune(
            outcomes, seeds=TUNING_SEEDS, near=near, is_fixed=not is_tuned
        )
        _, rate = findings.choice(size)
        made = counted(sum(map(len, tuned.outcomes.values())), "training")
        best = tuned.outcomes[tuned.best].values()
        missed = "ended as too slow" if any(each.is_capped for each in best) else "not reached"
        result = f"{tuned.steps:,.0f} steps" if tuned.is_reached else missed
        print(f"batch size {size}: {result} at rate {rate:.3g} ({made})", flush=True)

    def _near(self, size: int) -> int:
        """Start from the best rate of the nearest size; the first size starts from the user's rate.

        From the user's the rate goes with the square root of the batch size (Krizhevsky 2014,
        arXiv 1404.5997), which is a place on the grid for each doubling.
        """
        tuned, (own, _) = self.findings.tuned, self.findings.own
        if not tuned:
            return round(math.log2(size / own))
        return tuned[min(tuned, key=lambda other: abs(math.log2(other / size)))].best

    def train_fresh_seeds(self, train: Trainings) -> None:
        """Train with fresh seeds at the best choices, and at the user's own choice.

        Each finalist gets some seeds; finalists that stay rivals of the best get the rest.
        """
        findings, count = self.findings, self.options.seeds or FRESH_SEEDS
        seeds = range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + count)
        findings.finalists = self._finalists()
        wanted = dict.fromkeys(findings.finalists, seeds[:SCREENING_SEEDS])
        if findings.own[0] in findings.turns:
            wanted.setdefault(findings.own, seeds[:OWN_SEEDS])
        while wanted:
            self._train_fresh(train, wanted)
            open_ = [each for each in self._rivals() if len(findings.fresh[each]) < count]
            wanted = dict.fromkeys(open_, seeds)
            times = findings.times()
            if times and not findings.is_fresh(times.best):  # fresh seeds were slower elsewhere
                choice = findings.choice(times.best)
                findings.finalists.append(choice)
                wanted[choice] = seeds

    def _rivals(self) -> list[Choice]:
        """Return finalists that fresh seeds do not rule out; all if the user named batch sizes."""
        times = {
            choice: steps * self.findings.step_seconds[choice[0]]
            for choice in self.findings.finalists
            if (steps := self.findings.fresh_steps(choice)) < math.inf
        }
        return list(times) if self.options.batch_sizes else _near_the_best(times)

    def _train_fresh(self, train: Trainings, wanted: Mapping[Choice, Sequence[int]]) -> None:
        trials = {
            (choice, seed): Trial(
                judged_on=TEST, batch_size=choice[0], learning_rate=choice[1], seed=seed
            )
            # Seed by seed, so that even little time gives each choice some seeds.
            for seed in sorted({seed for seeds in wanted.values() for seed in seeds})
            for choice, seeds in wanted.items()
            if seed in seeds
        }
        try:
            train(trials.values(), is_race=False)
        finally:
            made = train.ledger.outcomes
            for (choice, seed), trial in trials.items():
                if trial in made:
                    self.findings.fresh.setdefault(choice, {})[seed] = made[trial]

    def _finalists(self) -> list[Choice]:
        """Return the best batch sizes and rates that reached the target."""
        findings = self.findings
        if self.options.batch_sizes:
            return [
                findings.choice(size) for size, each in findings.tuned.items() if each.is_reached
            ]
        times = {
            (size, findings.rate(size, place)): tuned.steps_at(place) * findings.step_seconds[size]
            for size, tuned in findings.tuned.items()
            if tuned.is_reached
            for place in tuned.ranked[:RATES_PER_SIZE]
        }
        return _near_the_best(times)[:MOST_FINALISTS]


def _near_the_best(times: Mapping[Choice, float]) -> list[Choice]:
    """Return the choices that may be the best, from the least time up."""
    most = RIVAL * min(times.values(), default=0.0)
    return [each for each in sorted(times, key=times.__getitem__) if times[each] <= most]


def _rates(task: Task, rule: str) -> Callable[[int, int], float]:
    """Return the rate of a batch size and a place: on the grid, or by a rule from the user's."""
    own, rate = clamped(task.batch_size, len(task.train)), task.learning_rate
    if rule == TUNED:
        return lambda _, place: rate * 2 ** (place / 2)
    return lambda size, _: learning_rate.at(rule, size, rate=rate, own=own)


def _default_file(task: Task) -> Path:
    atomic.make_folder(STORAGE)
    return STORAGE / f"sweet-spot-{re.sub(r'[^A-Za-z0-9]+', '-', task.name)}-{task.target:g}.jsonl"
