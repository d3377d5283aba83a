"""Gates whose right answer is known: identical code, planted slowdowns, slips."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cases
from bench.cases import Case
from bench.gate.audit import planting
from bench.gate.audit.planting import Plant
from bench.gate.audit.record import DIGITS, IDENTICAL
from bench.gate.comparison import compare
from bench.gate.duet import Version
from bench.gate.pair_tests import Pairs

SLOWED_STEP = Case(verb="step", engine="eager", batch_size=64)
SLOWED_FAMILY = "epoch[engine=eager]"
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
    guilty: str = ""  # the case or family that should be a regression; any will do where empty
    neighbour: bool = False
    engines: tuple[str, ...] = cases.GATE_ENGINES


def known(slowdown: float) -> dict[str, list[Scenario]]:
    """By the name that the command line knows them by."""
    slowed = f"{slowdown:.0%}"
    return {
        "identical": [Scenario(name=IDENTICAL)],
        "neighbour": [Scenario(name=f"{IDENTICAL}, noisy neighbour", neighbour=True)],
        "step": [
            Scenario(
                name=f"{slowed} in {SLOWED_STEP.name}",
                plants=(planting.slow_step(slowdown, SLOWED_STEP.batch_size),),
                guilty=SLOWED_STEP.name,
            )
        ],
        "family": [
            Scenario(
                name=f"{slowed} in every {SLOWED_FAMILY}",
                plants=(planting.slow_epoch(slowdown),),
                guilty=SLOWED_FAMILY,
            )
        ],
        "slips": [
            Scenario(
                name=f"slip: {name}",
                plants=(plant,),
                engines=planting.SLIP_ENGINES.get(name, cases.GATE_ENGINES),
            )
            for name, plant in planting.SLIPS.items()
        ],
    }


def run(scenario: Scenario, tree: Path) -> dict[str, Any]:
    """One real gate of the scenario: its line in the record."""
    with ExitStack() as stack:
        copy = stack.enter_context(planting.planted(tree, scenario.plants))
        if scenario.neighbour:
            stack.enter_context(noisy_neighbour())
        result = compare(
            Version(name="base", tree=tree, python=sys.executable),
            Version(name="head", tree=copy, python=sys.executable),
            engines=scenario.engines,
        )
    return {
        "scenario": scenario.name,
        "guilty": scenario.guilty,
        "planted": bool(scenario.plants),
        "took_seconds": round(result.took_seconds or 0, 1),
        "exit_code": int(result.exit_code),
        "verdicts": {name: str(one.verdict) for name, one in result.judgements.items()},
        "reasons": {name: one.reason for name, one in result.judgements.items() if one.reason},
        "ratios": {name: _rounded(one.ratio) for name, one in result.judgements.items()},
        "detectable": {name: _rounded(one.detectable) for name, one in result.judgements.items()},
        "screen": _log_ratios(result.evidence.screen),
        "confirm": _log_ratios(result.evidence.confirm),
    }


@contextmanager
def noisy_neighbour() -> Iterator[None]:
    """A process that loads a core, on and off."""
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _log_ratios(pairs: Pairs) -> dict[str, list[list[float]]]:
    return {
        name: [[round(pair.head, DIGITS), round(pair.control, DIGITS)] for pair in seen]
        for name, seen in pairs.items()
    }
