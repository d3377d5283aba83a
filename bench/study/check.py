"""Whether steps here are those of the reference: the same seeds, trained again."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.study import trial
from bench.study.reference import Reference
from bench.study.trial import FINE, Setting, Task
from mnist_mlp.data import Data

TARGET = 0.95
BATCH_SIZES = (64, 256)  # a second each
CAP = 2.0  # times the reference's steps: such a run is stopped


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One run, here and in the reference."""

    setting: Setting
    target: float
    steps_here: float  # infinite where the target was not reached
    steps_there: float

    @property
    def agrees(self) -> bool:
        """Whether the two are at most two evaluations apart."""
        if math.inf in {self.steps_here, self.steps_there}:
            return self.steps_here == self.steps_there
        return abs(math.log(self.steps_here / self.steps_there)) <= 2 * math.log(FINE)


def check(
    reference: Reference, data: Data, *, batch_sizes: Sequence[int] = BATCH_SIZES
) -> Iterator[Checked]:
    """Train the first fresh seed of some batch sizes again, on the test set, and compare."""
    rates = {one.batch_size: one.learning_rate for one in reference.tuned[TARGET]}
    runs = reference.runs(TARGET, judged_on="test")
    for size in batch_sizes:
        seed, (low, high) = next(iter(runs[size].items()))
        setting = Setting(judged_on="test", batch_size=size, learning_rate=rates[size], seed=seed)
        targets = tuple(target for target in reference.tuned if target <= TARGET)
        budget = round(CAP * (high if high < math.inf else low))
        found = trial.train(Task(setting=setting, targets=targets, most_steps=budget), data)
        yield Checked(
            setting=setting,
            target=TARGET,
            steps_here=found.steps_to(TARGET),
            steps_there=high,
        )
