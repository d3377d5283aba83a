"""What a search has found so far: sizes that can train, seconds, rates, and steps."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.best.ladder import Known
from bench.best.trial import Outcome
from bench.best.tuning import Tuned
from bench.laws import time_to_target
from bench.laws.time_to_target import TimeToTarget
from bench.measure.fitting import Fitting
from bench.runs.seeds import median_over_seeds
from mnist_mlp.task import Task

Choice = tuple[int, float]  # a batch size, and a learning rate
Seeds = dict[int, Outcome]  # seed -> outcome


@dataclass(kw_only=True)
class Findings:
    """What is known, however far the search has come."""

    task: Task
    engine: str
    threads: int
    max_epochs: int
    rate: Callable[[int, int], float]  # batch size, place on the grid -> learning rate
    fitting: Fitting = field(default_factory=Fitting)
    # Batch size -> process -> seconds per step of its turns.
    turns: dict[int, Sequence[Sequence[float]]] = field(default_factory=dict)
    tuned: dict[int, Tuned] = field(default_factory=dict)
    finalists: list[Choice] = field(default_factory=list)  # choices for fresh seeds
    fresh: dict[Choice, Seeds] = field(default_factory=dict)  # none of these seeds chose anything
    is_complete: bool = False  # every batch size that was asked for, or may be best, was trained

    @property
    def own(self) -> Choice:
        """The batch size and learning rate that the user trains with today."""
        return min(self.task.batch_size, len(self.task.train)), self.task.learning_rate

    @property
    def step_seconds(self) -> dict[int, float]:
        """Seconds per step of each batch size, in the fastest process.

        They decide what is trained; the answer uses all processes. Halfway between a timed size
        and its double, a size is given the mean of both.
        """
        timed = {size: min(map(statistics.median, turns)) for size, turns in self.turns.items()}
        between = {
            3 * size // 2: (timed[size] + timed[2 * size]) / 2
            for size in timed
            if 2 * size in timed and size % 2 == 0
        }
        return {
            size: seconds
            for size, seconds in sorted((between | timed).items())
            if size not in self.fitting.left_out
        }

    def choice(self, size: int) -> Choice:
        """Return a tuned batch size with its best rate: by fresh seeds if there are any."""
        tried = [each for each in self.finalists if each[0] == size and self.fresh.get(each)]
        by_tuning = size, self.rate(size, self.tuned[size].best)
        return min(tried, key=self.fresh_steps, default=by_tuning)

    def fresh_steps(self, choice: Choice) -> float:
        """Return a choice's median steps to the target by fresh seeds; infinite if missed."""
        seeds = self.fresh.get(choice, {}).values()
        return median_over_seeds(each.steps_to_target for each in seeds) if seeds else math.inf

    def seeds(self, size: int) -> Seeds:
        """Return the trainings of a tuned batch size that count: fresh if there are any."""
        tuned = self.tuned[size]
        return self.fresh.get(self.choice(size)) or tuned.outcomes[tuned.best]

    def known(self) -> Known:
        """Return what the ladder needs to choose the next size."""
        reached = {size: each.steps for size, each in self.tuned.items() if each.is_reached}
        return Known(
            seconds=self.step_seconds,
            steps=reached,
            at_least={
                size: each.fewest_steps for size, each in self.tuned.items() if size not in reached
            },
            samples=len(self.task.train),
            max_epochs=self.max_epochs,
        )

    def times(self) -> TimeToTarget | None:
        """Multiply steps by seconds; None if no batch size reached the target."""
        bounds = {
            size: _bounds(self.seeds(size), 1.0 if self.is_fresh(size) else self.test_ratio)
            for size in sorted(self.tuned)
        }
        reached = {size: by_seed for size, by_seed in bounds.items() if by_seed}
        return time_to_target.combine(reached, self.turns) if reached else None

    def is_fresh(self, size: int) -> bool:
        """Whether fresh seeds were trained at a tuned batch size and its best rate."""
        return self.choice(size) in self.fresh

    @property
    def test_ratio(self) -> float:
        """Steps of fresh trainings over steps of trainings judged on the validation part.

        The two learn from different samples, and are judged on different samples. The ratio
        corrects the steps of sizes without fresh seeds.
        """
        ratios = [
            self.fresh_steps(choice) / tuned.steps_at(place)
            for size, tuned in self.tuned.items()
            for place in tuned.ranked
            if tuned.steps_at(place) < math.inf
            and _bounds(self.fresh.get(choice := (size, self.rate(size, place)), {}))
        ]
        return math.exp(statistics.fmean(map(math.log, ratios))) if ratios else 1.0

    def own_time(self) -> TimeToTarget | None:
        """Return the time of the user's own choice; None if unknown, or if it missed the target."""
        bounds, (size, _) = _bounds(self.fresh.get(self.own, {})), self.own
        return time_to_target.combine({size: bounds}, self.turns) if bounds else None


def _bounds(seeds: Seeds, scale: float = 1.0) -> dict[int, tuple[float, float]]:
    """Return bounds of steps by seed; empty if half the seeds or more missed the target."""
    reached = sum(outcome.reached for outcome in seeds.values())
    if 2 * reached <= len(seeds):
        return {}
    return {
        seed: (scale * each.below, scale * each.steps_to_target) for seed, each in seeds.items()
    }
