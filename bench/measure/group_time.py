"""Seconds of a step of groups of workers at each batch size, and of their exchange of gradients.

Groups of one worker and of several, and within a group the batch sizes, take turns of some
milliseconds in an order drawn anew each time. A crew of fresh processes is a replicate.
"""

import random
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import worker_time
from bench.measure.crew import Crew
from mnist_mlp.model import PARAMETERS

GRADIENT_BYTES = 4 * PARAMETERS
# What is exchanged by itself: a few numbers, all gradients, and more than them.
EXCHANGED_BYTES = (40, GRADIENT_BYTES, 4_000_000)
ENGINE = "ddp"
CREWS = 4
VISITS = 4  # to each group, in each crew
TURN_SECONDS = 0.05
MOST_STEPS = 100  # of a turn
EXCHANGES = 20  # of a turn
LEARNING_RATE = 0.1

Turns = list[list[float]]  # of each crew, seconds of each turn


@dataclass(frozen=True, kw_only=True)
class Group:
    """Workers that share a batch, and the threads on which each of them computes."""

    workers: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class GroupTimes:
    """What was measured."""

    steps: dict[Group, dict[int, Turns]] = field(default_factory=dict)  # by batch size
    exchanges: dict[Group, dict[int, Turns]] = field(default_factory=dict)  # by bytes

    def step_medians(self, group: Group) -> dict[int, list[float]]:
        """Seconds a step by batch size: each crew's median."""
        return {size: _medians(turns) for size, turns in self.steps[group].items()}

    def exchange_medians(self, group: Group) -> dict[int, list[float]]:
        """Seconds of an exchange by bytes: each crew's median."""
        return {size: _medians(turns) for size, turns in self.exchanges[group].items()}


def measure(
    groups: Sequence[Group],
    batch_sizes: Sequence[int],
    new_crew: Callable[[], AbstractContextManager[Crew]],
    *,
    crews: int = CREWS,
    data: tuple[Path | None, Path | None] = (None, None),
    tell: Callable[[str], object] = lambda _: None,
) -> GroupTimes:
    """Time the groups' steps and exchanges.

    Args:
        groups: of at most as many workers as a crew has.
        batch_sizes: of all workers of a group together.
        new_crew: starts the workers.
        crews: how many are started, one after the other.
        data: a folder with a data set, and one for the unpacked MNIST.
        tell: is called with what is going on.

    Raises:
        CrewError: the workers do not start, or one failed.

    """
    several = [group for group in groups if group.workers > 1]
    found = GroupTimes(
        steps={group: {size: [] for size in batch_sizes} for group in groups},
        exchanges={group: {size: [] for size in EXCHANGED_BYTES} for group in several},
    )
    draw = random.Random(0)  # noqa: S311 - an order keeps no secret
    for number in range(crews):
        tell(f"starting workers, {number + 1} of {crews}")
        with new_crew() as crew:
            crew.ask(worker_time.load, *data)
            for kind in (found.steps, found.exchanges):
                for turns in kind.values():
                    for of_size in turns.values():
                        of_size.append([])
            for visit in range(1, VISITS + 1):
                for group in draw.sample(groups, len(groups)):
                    tell(
                        f"crew {number + 1} of {crews}, part {visit} of {VISITS}: {group.workers} "
                        f"workers on {group.threads} threads each"
                    )
                    crew.regroup(group.workers, threads=group.threads)
                    _visit(crew, group, found, draw)
    return found


def _visit(crew: Crew, group: Group, found: GroupTimes, draw: random.Random) -> None:
    """Take a turn of each batch size, and of each exchange."""
    steps = found.steps[group]
    crew.ask(worker_time.new_engine, ENGINE, LEARNING_RATE)
    for size in draw.sample(list(steps), len(steps)):
        steps[size][-1].append(_turn(crew, size, first=draw.randrange(1000)))
    exchanges = found.exchanges.get(group, {})
    for size in draw.sample(list(exchanges), len(exchanges)):
        exchanges[size][-1].append(max(crew.ask(worker_time.exchange, size, EXCHANGES)))


def _turn(crew: Crew, batch_size: int, *, first: int) -> float:
    """Return the seconds a step of a turn, by the slowest worker."""
    crew.ask(worker_time.steps, batch_size, 1, first)  # threads and caches settle
    seconds: float = max(crew.ask(worker_time.steps, batch_size, 2, first))
    count = max(1, min(MOST_STEPS, round(TURN_SECONDS / seconds)))
    return float(max(crew.ask(worker_time.steps, batch_size, count, first)))


def _medians(turns: Turns) -> list[float]:
    return [statistics.median(of_crew) for of_crew in turns]
