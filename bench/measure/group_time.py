"""Seconds per step of groups of workers at each batch size, and per exchange of gradients.

Groups of one worker and of several, and within a group the batch sizes, take turns of some
milliseconds. A crew of fresh processes is a replicate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import cases
from bench.measure import worker
from bench.measure.crew import Crew, started
from bench.measure.turns import Draw
from mnist_mlp.model import PARAMETERS
from mnist_mlp.task_source import Source

GRADIENT_BYTES = 4 * PARAMETERS
# Sizes of the timed exchanges: a few numbers, all gradients, and more.
EXCHANGED_BYTES = (40, GRADIENT_BYTES, 4_000_000)
ENGINE = "ddp"
VISITS = 4  # visits to each group per crew
TURN_SECONDS = 0.05
MOST_STEPS = 100  # limit per turn
BATCHES = 1000  # a turn begins at one of so many batches

# Batch size, or bytes exchanged -> crew -> seconds of each turn.
Turns = dict[int, list[list[float]]]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Workers that share a batch, and the threads on which each of them computes."""

    workers: int
    threads: int

    @property
    def name(self) -> str:
        """The workers and the threads of each, as "2 x 1"."""
        return f"{self.workers} x {self.threads}"


@dataclass(frozen=True, kw_only=True)
class GroupTimes:
    """Each group's seconds per step by batch size, and per exchange by bytes."""

    steps: dict[Group, Turns]
    exchanges: dict[Group, Turns]


def measure(
    groups: Sequence[Group],
    batch_sizes: Sequence[int],
    *,
    crews: int,
    source: Source,
    tell: Callable[[str], object],
) -> GroupTimes:
    """Time the groups' steps and exchanges.

    Args:
        groups: each of one worker or several.
        batch_sizes: samples per step of all workers of a group together.
        crews: number of crews, which are started one after the other.
        source: the task to train.
        tell: called with a line on the progress.

    """
    several = [group for group in groups if group.workers > 1]
    most = max(group.workers for group in groups)
    times = GroupTimes(
        steps={group: {size: [] for size in batch_sizes} for group in groups},
        exchanges={group: {size: [] for size in EXCHANGED_BYTES} for group in several},
    )
    draw = Draw()
    for number in range(crews):
        tell(f"starting workers, {number + 1} of {crews}")
        for turns in (*times.steps.values(), *times.exchanges.values()):
            for of_crews in turns.values():
                of_crews.append([])
        with started(most) as crew:
            crew.ask(worker.load, source)
            for visit, group in draw.rounds(groups, VISITS):
                tell(
                    f"crew {number + 1} of {crews}, part {visit} of {VISITS}: {group.workers} "
                    f"workers on {group.threads} threads each"
                )
                crew.regroup(group.workers, threads=group.threads)
                _visit(crew, times.steps[group], times.exchanges.get(group, {}), draw)
    return times


def _visit(crew: Crew, steps: Turns, exchanges: Turns, draw: Draw) -> None:
    """Take a turn of each batch size, and of each exchange."""
    crew.ask(worker.new_engine, ENGINE, cases.LEARNING_RATE)

    def step(batch_size: int) -> float:
        first = draw.below(BATCHES)
        crew.ask(worker.steps, batch_size, 1, first)  # threads and caches settle
        seconds: float = max(crew.ask(worker.steps, batch_size, 2, first))
        count = max(1, min(MOST_STEPS, round(TURN_SECONDS / seconds)))
        return float(max(crew.ask(worker.steps, batch_size, count, first)))

    def exchange(size_bytes: int) -> float:
        return float(max(crew.ask(worker.exchange, size_bytes, cases.WORKERS_EXCHANGES)))

    for turns, turn in ((steps, step), (exchanges, exchange)):
        for size, seconds in draw.turns(list(turns), turn, rounds=1).items():
            turns[size][-1] += seconds
