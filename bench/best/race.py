"""The race for the batch size that trains fastest: which run comes next.

With one seed run powers of two around the square root of the training set, the powers beside the
best, until it lies between two slower ones, and then 3/4 and 3/2 of it. What is not slower than
seeds explain goes on with the other seeds (racing: Maron and Moore 1994, Hoeffding Races). A run is
capped at a multiple of the best median so far (adaptive capping: Hutter et al. 2009, JAIR 36).
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.runs.case import MeasuredCase
from bench.runs.seeds import Seeds, by_series, median_over_seeds

CAP = 2.0  # times the best median so far: a run that takes longer is stopped
SPREAD = 0.15  # of the logarithms of seeds' times, until seeds show their own
FEWEST_FREEDOM = 4  # seeds beyond the first of their sizes, before theirs counts
DEVIATIONS = 2.0  # of the difference of two medians: a size up to there gets more seeds


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A run to be made."""

    lr_rule: str
    batch_size: int
    seed: int
    cap_seconds: float = math.inf  # of training, after which the run may stop

    @property
    def name(self) -> str:
        """The entry in words."""
        return f"{self.lr_rule} rate, batch size {self.batch_size}, seed {self.seed}"


def race(
    train: Callable[[Entry], MeasuredCase | None],
    *,
    lr_rules: Sequence[str],
    seeds: Sequence[int],
    samples: int,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[MeasuredCase]:
    """Make one run after the other until no run is left, or the clock is past the deadline.

    Each rule races for itself, the one that has had the least time first. The largest batch size is
    the number of samples. A run that the deadline ended is None, and the race is over.
    """
    runs: list[MeasuredCase] = []
    seconds = dict.fromkeys(lr_rules, 0.0)
    while seconds and (started := clock()) < deadline:
        rule = min(seconds, key=seconds.__getitem__)
        entry = next_entry(by_rule(runs).get(rule, []), rule, seeds=seeds, samples=samples)
        if entry is None:
            del seconds[rule]
            continue
        run = train(entry)
        if run is None:
            return
        runs.append(run)
        seconds[rule] += clock() - started
        yield run


def by_rule(runs: Sequence[MeasuredCase]) -> dict[str, list[Seeds]]:
    """Group the runs of one engine by rule, and then by batch size."""
    return {rule: ran for (_, rule), ran in by_series(runs).items()}


def next_entry(
    ran: Sequence[Seeds], rule: str, *, seeds: Sequence[int], samples: int
) -> Entry | None:
    """Return the run that comes after those with the rule; None where none is needed."""
    cap = CAP * fewest_seconds(best(ran)) if ran and best(ran).reached else math.inf
    size, seed = _next_size(ran, samples), seeds[0]
    if size is None:
        waiting = [each for each in contenders(ran) if len(each.cases) < len(seeds)]
        if not waiting:
            return None
        next_ = min(waiting, key=lambda each: (len(each.cases), each.median_seconds))
        size, seed = next_.batch_size, seeds[len(next_.cases)]
    return Entry(lr_rule=rule, batch_size=size, seed=seed, cap_seconds=cap)


def _next_size(ran: Sequence[Seeds], samples: int) -> int | None:
    """Choose the next size so that a fast one is found early: its times cap all others."""
    middle = rule_of_thumb(samples)
    sizes = [size for power in range(-2, 3) if 1 <= (size := int(middle * 2.0**power)) <= samples]
    if ran:
        first = best(ran)
        sizes = [*_rungs(first.batch_size, samples), *sizes]
        if first.reached:
            sizes += _between(first.batch_size, samples)
    tried = {each.batch_size for each in ran}
    return next((size for size in sizes if size not in tried), None)


def rule_of_thumb(samples: int) -> int:
    """The power of two that is nearest to the square root of the training set."""
    return 1 << round(math.log2(samples) / 2)


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


def fewest_seconds(ran: Seeds) -> float:
    """The least that the median could be without caps and budgets: what was spent at the median."""
    return median_over_seeds(math.inf if case.diverged else case.seconds for case in ran.cases)


def best(ran: Sequence[Seeds]) -> Seeds:
    """Return the fastest to the target; where none reached it, the most accurate."""
    return min(
        ran,
        key=lambda each: (
            each.median_seconds,
            fewest_seconds(each) if each.reached else math.inf,
            -max(case.test_accuracy for case in each.cases),
        ),
    )


def contenders(ran: Sequence[Seeds]) -> list[Seeds]:
    """Return those that are not clearly slower than the best; none where the best missed."""
    first, spread = best(ran), _spread_of_seeds(ran)

    def is_slower(each: Seeds) -> bool:
        error = spread * math.sqrt(1 / len(each.cases) + 1 / len(first.cases))
        return fewest_seconds(each) > fewest_seconds(first) * math.exp(DEVIATIONS * error)

    return [each for each in ran if first.reached and not is_slower(each)]


def _spread_of_seeds(ran: Sequence[Seeds]) -> float:
    """Standard deviation of the logarithms of a size's times, pooled over sizes."""
    logs = [
        [math.log(seconds) for seconds in each.seconds]
        for each in ran
        if each.reached == len(each.cases) > 1
    ]
    freedom = sum(len(each) - 1 for each in logs)
    if freedom < FEWEST_FREEDOM:
        return SPREAD
    return math.sqrt(sum(statistics.variance(each) * (len(each) - 1) for each in logs) / freedom)


def confirming(runs: Sequence[MeasuredCase], *, seeds: Sequence[int]) -> list[Entry]:
    """Return entries of the fastest with seeds that did not choose it; none where all missed."""
    firsts = {rule: best(ran) for rule, ran in by_rule(runs).items()}
    rule = min(firsts, key=lambda rule: firsts[rule].median_seconds, default=None)
    if rule is None or firsts[rule].is_censored:
        return []
    used = {run.seed for run in runs}
    size = firsts[rule].batch_size
    return [Entry(lr_rule=rule, batch_size=size, seed=seed) for seed in seeds if seed not in used]
