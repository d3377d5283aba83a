"""What a study runs: rates are tuned on a validation set, then tried with fresh seeds."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench import cases
from bench.study import tuning
from bench.study.trial import Outcome, Setting, Task
from bench.study.tuning import Tuned
from mnist_mlp.batches import steps_per_epoch
from mnist_mlp.learning_rate import noise_limited

BATCH_SIZES = tuple(2**power for power in range(11))  # 1 to 1024
TARGETS = (0.90, 0.93, 0.95, 0.97)
TUNING_SEEDS = 5
FRESH_SEEDS = 20
FIRST_FRESH_SEED = 100  # none of those that chose a rate
PILOT_SEEDS = 5  # of the fresh ones
TUNED_BUDGET = 10  # times the epochs that a run at the fixed rate may take
TYPICAL_RATES = 8  # that are tried at a batch size
JUDGES = ("validation", "test")


# Carry out tasks, at once as far as there are processors.
Carry = Callable[[Sequence[Task]], Sequence[Outcome]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study's settings, all of which decide what its runs are."""

    batch_sizes: tuple[int, ...] = BATCH_SIZES
    targets: tuple[float, ...] = TARGETS  # rising
    tuning_seeds: int = TUNING_SEEDS
    fresh_seeds: int = FRESH_SEEDS
    max_epochs: int = cases.MAX_EPOCHS  # at the fixed rate

    @property
    def most_runs(self) -> int:
        """Roughly how many runs there will be at the most."""
        tuning = self.tuning_seeds * TYPICAL_RATES
        fresh = self.fresh_seeds * len(JUDGES) * (len(self.targets) + 1)
        return len(self.batch_sizes) * (tuning + fresh)

    def tuned(self, batch_size: int, samples: int, carry: Carry) -> Tuned:
        """Tune the rate for each target, judged on the validation set."""

        def measure(rate: float, seeds: Sequence[int], most_steps: float) -> Sequence[Outcome]:
            settings = [
                Setting(
                    judged_on="validation", batch_size=batch_size, learning_rate=rate, seed=seed
                )
                for seed in seeds
            ]
            return carry([self._task(each, self.targets, samples, most_steps) for each in settings])

        return tuning.tune(
            measure,
            targets=self.targets,
            seeds=range(self.tuning_seeds),
            near=noise_limited(cases.LEARNING_RATE, batch_size) / 2,  # high ones may never end
        )

    def fresh(self, batch_size: int, samples: int, tuned: Tuned, carry: Carry) -> list[Task]:
        """Run seeds that chose nothing, at the tuned rates and at the fixed one.

        A target that none of the first few seeds reached is not tried with the others.
        """
        last_targets = {tuned.best_rate(target): target for target in self.targets}
        budgets = dict.fromkeys(last_targets, math.inf)
        budgets.setdefault(cases.LEARNING_RATE, self._epochs(batch_size, samples))
        last_targets[cases.LEARNING_RATE] = self.targets[-1]
        seeds = range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + self.fresh_seeds)
        new_tasks = partial(self._fresh, batch_size, samples, budgets)
        first = new_tasks(last_targets, seeds[:PILOT_SEEDS])
        reached: dict[float, float] = {}
        for task, outcome in zip(first, carry(first), strict=True):
            rate = task.setting.learning_rate
            reached[rate] = max(reached.get(rate, 0), *outcome.bounds, 0)
        within_reach = {rate: target for rate, target in reached.items() if target}
        others = new_tasks(within_reach, seeds[PILOT_SEEDS:])
        carry(others)
        return first + others

    def _fresh(
        self,
        batch_size: int,
        samples: int,
        budgets: Mapping[float, float],
        last_targets: Mapping[float, float],
        seeds: Sequence[int],
    ) -> list[Task]:
        tasks = []
        for (rate, last), judge in itertools.product(last_targets.items(), JUDGES):
            targets = tuple(target for target in self.targets if target <= last)
            for seed in seeds:
                setting = Setting(
                    judged_on=judge, batch_size=batch_size, learning_rate=rate, seed=seed
                )
                tasks.append(self._task(setting, targets, samples, budgets[rate]))
        return tasks

    def _epochs(self, batch_size: int, samples: int) -> int:
        return self.max_epochs * steps_per_epoch(samples, batch_size)

    def _task(
        self, setting: Setting, targets: tuple[float, ...], samples: int, most_steps: float
    ) -> Task:
        budget = TUNED_BUDGET * self._epochs(setting.batch_size, samples)
        return Task(setting=setting, targets=targets, most_steps=int(min(budget, most_steps)))
