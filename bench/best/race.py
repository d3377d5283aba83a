"""The search for the batch size that trains fastest: which run comes next.

With one seed run powers of two around the square root of the training set, the powers beside the
best, until it lies between two slower ones, and then 3/4 and 3/2 of it. What is not slower than
seeds explain goes on with the other seeds (racing: Maron and Moore 1994, Hoeffding Races). A run is
capped at a multiple of the best median so far (adaptive capping: Hutter et al. 2009, JAIR 36): its
size takes longer than that, and how much longer is not worth the wait.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.laws import laws, steps_law
from bench.laws.line import Estimate
from bench.runs.seeds import median_over_seeds

CAP = 2.0  # times the best median so far: a run that takes longer is stopped
SPREAD = 0.15  # of the logarithms of seeds' times, until seeds show their own
FEWEST_FREEDOM = 4  # seeds beyond the first of their sizes, before theirs counts
DEVIATIONS = 2.0  # of the difference of two medians: a size up to there gets more seeds


class TimeUpError(Exception):
    """The time of the whole search ended during a run, whose result is then unknown."""


class Ending(StrEnum):
    """What ended a run."""

    REACHED = "reached the target"
    CAPPED = "capped"
    MISSED = "missed the target"  # within its epochs
    DIVERGED = "diverged"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A run to be made."""

    lr_rule: str
    batch_size: int
    seed: int
    cap_seconds: float  # of training, after which the run may stop; infinite for no cap

    @property
    def name(self) -> str:
        """The trial in words."""
        return f"{self.lr_rule}, batch size {self.batch_size}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What a trial took, and how it ended."""

    trial: Trial
    prepare_seconds: float  # compiling
    train_seconds: float  # until it ended
    steps: int
    steps_before: int  # at the evaluation before its last
    test_accuracy: float  # at its end, a fraction
    ending: Ending

    @property
    def reached(self) -> bool:
        """Whether it got to the target."""
        return self.ending is Ending.REACHED

    @property
    def seconds_to_target(self) -> float:
        """Infinite where it was not reached."""
        return self.train_seconds if self.reached else math.inf

    @property
    def fewest_seconds_to_target(self) -> float:
        """As `seconds_to_target`, but a capped run counts as reaching the target at its cap."""
        return self.train_seconds if self.ending is Ending.CAPPED else self.seconds_to_target


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A batch size and its runs, one a seed."""

    batch_size: int
    runs: tuple[TrialResult, ...]

    @property
    def reached(self) -> int:
        """How many runs got to the target."""
        return sum(run.reached for run in self.runs)

    @property
    def median_seconds(self) -> float:
        """Median time to the target; infinite where half of the runs or more missed it."""
        return median_over_seeds(run.seconds_to_target for run in self.runs)

    @property
    def is_censored(self) -> bool:
        """Whether half of the runs or more missed the target."""
        return self.median_seconds == math.inf

    @property
    def fewest_seconds(self) -> float:
        """The least that the median could be without caps."""
        return median_over_seeds(run.fewest_seconds_to_target for run in self.runs)

    @property
    def spent_seconds(self) -> float:
        """Median training time, to the target or not: time to target is at least that."""
        return median_over_seeds(run.train_seconds for run in self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        """Least and most seconds to the target; the most is infinite where a run missed it."""
        return (
            min(run.fewest_seconds_to_target for run in self.runs),
            max(run.seconds_to_target for run in self.runs),
        )

    @property
    def test_accuracy(self) -> float:
        """The highest at the end of a run."""
        return max(run.test_accuracy for run in self.runs)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The batch size that the laws of step time and steps to target call best."""

    batch_size: Estimate
    largest_misfit: float  # of either law, a share


Measure = Callable[[Trial], TrialResult]


def search(
    measure: Measure,
    *,
    lr_rules: Sequence[str],
    seeds: Sequence[int],
    samples: int,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[TrialResult]:
    """Make one run after the other until no run is left, or the time is up.

    Rules take turns, the one that has had the least time first.

    Args:
        measure: makes a run; it may raise TimeUpError at the deadline, and the search is over.
        lr_rules: to search with, each for itself.
        seeds: at least one.
        samples: of the training set, the largest batch size.
        deadline: by the clock; no run starts at it or later.
        clock: gives seconds.

    """
    runs: dict[str, list[TrialResult]] = {rule: [] for rule in lr_rules}
    seconds = dict.fromkeys(lr_rules, 0.0)
    while seconds and (started := clock()) < deadline:
        rule = min(seconds, key=seconds.__getitem__)
        trial = next_trial(candidates(runs[rule]), lr_rule=rule, seeds=seeds, samples=samples)
        if trial is None:
            del seconds[rule]
            continue
        try:
            run = measure(trial)
        except TimeUpError:
            return
        seconds[rule] += clock() - started
        runs[rule].append(run)
        yield run


def next_trial(
    found: Sequence[Candidate], *, lr_rule: str, seeds: Sequence[int], samples: int
) -> Trial | None:
    """Return the run that comes after those found with the rule; None where none is needed."""
    cap = CAP * best(found).fewest_seconds if found else math.inf
    size, seed = _next_size(found, samples), seeds[0]
    if size is None:
        waiting = [one for one in contenders(found) if len(one.runs) < len(seeds)]
        if not waiting:
            return None
        one = min(waiting, key=lambda one: (len(one.runs), one.median_seconds))
        size, seed = one.batch_size, seeds[len(one.runs)]
    return Trial(lr_rule=lr_rule, batch_size=size, seed=seed, cap_seconds=cap)


def _next_size(found: Sequence[Candidate], samples: int) -> int | None:
    """Choose the next size so that a fast one is found early: its times cap all others."""
    sizes = starting_sizes(samples)
    if found:
        first = best(found)
        sizes = [*_rungs(first.batch_size, samples), *sizes]
        if first.reached:
            sizes += _between(first.batch_size, samples)
    tried = {one.batch_size for one in found}
    return next((size for size in sizes if size not in tried), None)


def confirming(runs: Sequence[TrialResult], *, seeds: Sequence[int]) -> list[Trial]:
    """Return runs of the winner over all rules with seeds of their own; none without a winner."""
    rules = dict.fromkeys(run.trial.lr_rule for run in runs)
    firsts = {
        rule: best(candidates(run for run in runs if run.trial.lr_rule == rule)) for rule in rules
    }
    rule = min(firsts, key=lambda rule: firsts[rule].median_seconds, default=None)
    if rule is None or firsts[rule].is_censored:
        return []
    size = firsts[rule].batch_size
    return [
        Trial(lr_rule=rule, batch_size=size, seed=seed, cap_seconds=math.inf)
        for seed in seeds
        if seed not in {run.trial.seed for run in runs}
    ]


def candidates(runs: Iterable[TrialResult]) -> list[Candidate]:
    """Group runs with one rule by batch size, the smallest first."""
    by_size: dict[int, list[TrialResult]] = {}
    for run in runs:
        by_size.setdefault(run.trial.batch_size, []).append(run)
    return [Candidate(batch_size=size, runs=tuple(by_size[size])) for size in sorted(by_size)]


def best(found: Sequence[Candidate]) -> Candidate:
    """Return the fastest to the target; where none reached it, the most accurate."""
    return min(
        found,
        key=lambda one: (
            one.median_seconds,
            one.fewest_seconds if one.reached else math.inf,
            -one.test_accuracy,
        ),
    )


def contenders(found: Sequence[Candidate]) -> list[Candidate]:
    """Return those that are not clearly slower than the best; none where the best missed."""
    first, spread = best(found), _spread_of_seeds(found)

    def most(one: Candidate) -> float:
        error = spread * math.sqrt(1 / len(one.runs) + 1 / len(first.runs))
        return first.fewest_seconds * math.exp(DEVIATIONS * error)

    return [one for one in found if one.fewest_seconds <= most(one) < math.inf]


def _spread_of_seeds(found: Sequence[Candidate]) -> float:
    """Standard deviation of the logarithms of a size's times, pooled over sizes."""
    logs = [
        [math.log(run.train_seconds) for run in one.runs]
        for one in found
        if one.reached == len(one.runs) > 1
    ]
    freedom = sum(len(each) - 1 for each in logs)
    if freedom < FEWEST_FREEDOM:
        return SPREAD
    return math.sqrt(sum(statistics.variance(each) * (len(each) - 1) for each in logs) / freedom)


def overlap(one: Candidate, other: Candidate) -> bool:
    """Whether the times of two that reached the target overlap; of one and the same, no."""
    (least, most), (others_least, others_most) = one.spread, other.spread
    return bool(
        one is not other
        and one.reached
        and other.reached
        and least <= others_most
        and others_least <= most
    )


def rule_of_thumb(samples: int) -> int:
    """The power of two that is nearest to the square root of the training set."""
    return 1 << round(math.log2(samples) / 2)


def starting_sizes(samples: int) -> list[int]:
    """Powers of two up to a factor of 4 from the rule of thumb, between 1 and the training set."""
    middle = rule_of_thumb(samples)
    return [size for power in range(-2, 3) if 1 <= (size := int(middle * 2.0**power)) <= samples]


def _rungs(size: int, samples: int) -> list[int]:
    """The sizes beside this one on the ladder of powers of two, which the training set tops."""
    if size < samples and size.bit_count() > 1:  # a 3/4 or 3/2: ran after what surrounds it
        return []
    below = [1 << (size - 1).bit_length() - 1] if size > 1 else []
    return [*below, min(2 * size, samples)]


def _between(size: int, samples: int) -> list[int]:
    """3/4 and 3/2 of a power of two, where these are sizes."""
    if size.bit_count() > 1:
        return []
    return [size * 3 // part for part in (4, 2) if size % part == 0 and size * 3 <= part * samples]


def predict(runs: Sequence[TrialResult], lr_rule: str) -> Prediction:
    """Fit step time to all runs, and steps to target to those with the rule.

    Raises:
        LawError: a law cannot be fitted.

    """
    step_seconds: dict[int, list[float]] = {}
    steps: dict[int, dict[int, steps_law.Bounds]] = {}
    for run in runs:
        size = run.trial.batch_size
        step_seconds.setdefault(size, []).append(run.train_seconds / run.steps)
        if run.trial.lr_rule == lr_rule:
            steps.setdefault(size, {})[run.trial.seed] = _bounds(run)
    step_law = laws.fit_step_time(
        {size: median_over_seeds(values) for size, values in step_seconds.items()}
    )
    law = steps_law.fit(steps)
    return Prediction(
        batch_size=laws.best_batch_size(step_law.half_batch_size, law.critical_batch_size),
        largest_misfit=max(step_law.largest_misfit, *map(abs, law.misfits.values())),
    )


def _bounds(run: TrialResult) -> steps_law.Bounds:
    """Between which steps a run reached the target."""
    return (run.steps_before, run.steps) if run.reached else (run.steps, math.inf)
