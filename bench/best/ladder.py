"""Which batch size to train next, in a search that skips sizes that cannot be faster.

First comes the power of two nearest to the square root of the training set, then the powers next to
the best, until the best lies between two slower powers, and then 3/4 and 3/2 of it. With learning
rates that suit each batch size, steps to a target do not rise with the batch size, nor fall faster
than 1 / B (Shallue et al. 2019, JMLR 20:112). So trained sizes bound the steps of other sizes.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of the batch sizes so far."""

    seconds: Mapping[int, float]  # seconds per step of each size that can train
    steps: Mapping[int, float]  # steps to the target of each size that reached it
    at_least: Mapping[int, float]  # steps of each trained size that missed the target
    samples: int  # size of the training set
    max_epochs: int

    @property
    def times(self) -> dict[int, float]:
        """Seconds to the target of the sizes that reached it."""
        return {size: steps * self.seconds[size] for size, steps in self.steps.items()}

    @property
    def best(self) -> int | None:
        """The size with the least time to the target; None if none reached it."""
        return min(self.times, key=self.times.__getitem__, default=None)

    @property
    def least_seconds(self) -> float:
        """The time of the best size; infinite if none reached the target."""
        return min(self.times.values(), default=math.inf)

    @property
    def trained(self) -> Collection[int]:
        """The sizes that were trained."""
        return {*self.steps, *self.at_least}

    def fewest_steps(self, size: int) -> float:
        """Return a lower bound of the steps that a size takes."""
        bounds = {**self.at_least, **self.steps}
        return max((each * min(1, other / size) for other, each in bounds.items()), default=0.0)

    def could_win(self, size: int) -> bool:
        """Whether a size that can train might be faster than the best."""
        fewest = self.fewest_steps(size)
        budget = self.max_epochs * math.ceil(self.samples / size)
        return fewest < budget and fewest * self.seconds[size] < self.least_seconds

    def next_size(self) -> int | None:
        """Return the batch size to train next; None if none could be faster."""
        if not self.trained:
            middle = rule_of_thumb(self.samples)
            return min(self._powers, key=lambda size: abs(math.log2(size / middle)), default=None)
        return min(self.open_sizes(), key=self._least_time, default=None)

    def open_sizes(self) -> list[int]:
        """Return the batch sizes that may be faster than the best and are next to it."""
        if self.best is None:  # smaller batches make more steps in an epoch
            return [size for size in self._powers if size < min(self.trained)][-1:]
        below = [size for size in self._powers if size < self.best][-1:]
        above = [size for size in self._powers if size > self.best][:1]
        between = [self.best * 3 // part for part in (4, 2) if self.best.bit_count() == 1]
        return self._untried([*below, *above]) or self._untried(between)

    @property
    def _powers(self) -> list[int]:
        return sorted(size for size in self.seconds if size.bit_count() == 1)

    def _untried(self, sizes: Collection[int]) -> list[int]:
        timed = [size for size in sizes if size in self.seconds and size not in self.trained]
        return [size for size in timed if self.could_win(size)]

    def _least_time(self, size: int) -> float:
        return self.fewest_steps(size) * self.seconds[size]


def rule_of_thumb(samples: int) -> int:
    """The power of two that is nearest to the square root of the training set."""
    return 1 << round(math.log2(samples) / 2)
