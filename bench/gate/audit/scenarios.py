"""Gates whose right answer is known: identical code, planted slowdowns, slips."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gate.audit import planting, record
from bench.gate.audit.planting import Plant
from bench.gate.audit.record import IDENTICAL
from bench.gate.command import default_arguments
from bench.gate.company import Version
from bench.gate.comparison import compare

# Where slowdowns are planted, all at once: steps of an engine at a batch size, and all its epochs.
SLOWED_STEPS = (("eager", 1), ("native", 64), ("eager", 1024))
SLOWED_EPOCHS = "eager"
GUILTY = (
    *(
        f"bench/test_step.py::test_step[engine={engine}-batch_size={batch_size}]"
        for engine, batch_size in SLOWED_STEPS
    ),
    f"bench/test_epoch.py::test_epoch, {SLOWED_EPOCHS}",
)
# Busy and idle for up to a second each, as a neighbour on a shared machine may be.
NEIGHBOUR = """
import random, time
while True:
    until = time.perf_counter() + random.uniform(0.05, 1)
    while time.perf_counter() < until:
        pass
    time.sleep(random.uniform(0.05, 1))
"""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is planted in the head, and the verdict that the gate should give."""

    name: str
    plants: tuple[Plant, ...] = ()
    base_plants: tuple[Plant, ...] = ()  # the same with a slowdown of 0, whose own cost is common
    guilty: tuple[str, ...] = ()  # the cases and families that should be regressions
    slowdown: float = 0.0  # of the guilty, a share
    neighbour: bool = False
    arguments: tuple[str, ...] = ()  # pytest's, if not the gate's own


def known(slowdowns: Sequence[float]) -> dict[str, list[Scenario]]:
    """By the name that the command line knows them by."""
    return {
        "identical": [Scenario(name=IDENTICAL)],
        "neighbour": [Scenario(name=f"{IDENTICAL}, noisy neighbour", neighbour=True)],
        "planted": [_planted(slowdown) for slowdown in slowdowns],
        "slips": [
            Scenario(name=f"slip: {name}", plants=(plant,), arguments=plant.arguments)
            for name, plant in planting.SLIPS.items()
        ],
    }


def _planted(slowdown: float) -> Scenario:
    return Scenario(
        name=f"{slowdown:.0%} planted",
        plants=_plants(slowdown),
        base_plants=_plants(0.0),
        guilty=GUILTY,
        slowdown=slowdown,
    )


def _plants(share: float) -> tuple[Plant, ...]:
    return planting.slow_steps(share, SLOWED_STEPS), planting.slow_epochs(share, SLOWED_EPOCHS)


@contextmanager
def trees(scenario: Scenario, tree: Path) -> Iterator[tuple[Path, Path]]:
    """Base and head of the scenario, planted in copies of the tree; removed afterwards."""
    with ExitStack() as stack:
        head = stack.enter_context(planting.planted(tree, scenario.plants))
        base = tree
        if scenario.base_plants:
            base = stack.enter_context(planting.planted(tree, scenario.base_plants))
        yield base, head


def run(scenario: Scenario, tree: Path) -> dict[str, Any]:
    """One real gate of the scenario: its line in the record."""
    with ExitStack() as stack:
        base, head = stack.enter_context(trees(scenario, tree))
        if scenario.neighbour:
            stack.enter_context(noisy_neighbour())
        result = compare(
            Version(name="base", tree=base, python=sys.executable),
            Version(name="head", tree=head, python=sys.executable),
            arguments=scenario.arguments or default_arguments(tree),
        )
    return {"scenario": scenario.name, **record.of_result(result)}


@contextmanager
def noisy_neighbour() -> Iterator[None]:
    """A process that loads a core, on and off."""
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR])
    try:
        yield
    finally:
        process.kill()
        process.wait()
