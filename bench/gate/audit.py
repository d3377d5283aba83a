"""How far the gate can be believed on this machine: gates on equal code, and on planted slowdowns.

Every finished gate is a line of JSON in the record, from which all rates can be computed again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cases
from bench.cases import Case
from bench.gate import planting, rates, revision, verdict
from bench.gate.command import compare, output_file
from bench.gate.duet import Version
from bench.gate.planting import Plant
from bench.gate.report import ExitCode
from mnist_mlp import arguments

SLOWED_STEP = Case(verb="step", engine="eager", batch_size=64)
SLOWED_FAMILY = "epoch[engine=eager]"
DIGITS = 6  # of a recorded log ratio
# Busy and idle for up to a second each, as a neighbour on a shared machine may be.
NEIGHBOUR = """
import random, time
while True:
    until = time.perf_counter() + random.uniform(0.05, 1)
    while time.perf_counter() < until:
        pass
    time.sleep(random.uniform(0.05, 1))
"""

RULES_SCENARIO = "pytest-benchmark"
RULES_ASKED = ("identical", "step")  # it times no epoch in the time of a gate
DEFAULT_SCENARIOS = ("identical", "step", "family", RULES_SCENARIO)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is planted in the head, and what the gate should say of it."""

    name: str
    plants: tuple[Plant, ...] = ()
    guilty: str = ""  # the case or family that should be a regression; any will do where empty
    neighbour: bool = False
    engines: tuple[str, ...] = cases.GATE_ENGINES


def scenarios(slowdown: float) -> dict[str, list[Scenario]]:
    """By the name that the command line knows them by."""
    slowed = f"{slowdown:.0%}"
    return {
        "identical": [Scenario(name="identical code")],
        "neighbour": [Scenario(name="identical code, noisy neighbour", neighbour=True)],
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
        "took_seconds": round(result.took_seconds, 1),
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


def _log_ratios(pairs: verdict.Pairs) -> dict[str, list[list[float]]]:
    return {
        name: [[round(pair.head, DIGITS), round(pair.control, DIGITS)] for pair in seen]
        for name, seen in pairs.items()
    }


def pytest_benchmark_run(tree: Path) -> dict[str, dict[str, float]]:
    """One run of the step cases by pytest-benchmark: each case's min and mean, seconds."""
    sizes = ",".join(map(str, cases.GATE_BATCH_SIZES["step"]))
    with tempfile.TemporaryDirectory(prefix="gate-rules-") as folder:
        file = Path(folder) / "run.json"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "--benchmark-only", "-p", "no:cacheprovider"),
                *("bench/test_step.py", "--engines=eager", f"--batch-sizes={sizes}"),
                f"--benchmark-json={file}",
            ],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"pytest-benchmark's run failed: {done.stdout}{done.stderr}")
        saved = json.loads(file.read_text())
    return {
        case["name"].removeprefix("test_"): {rule: case["stats"][rule] for rule in rates.RULES}
        for case in saved["benchmarks"]
    }


def run_rules(scenario: Scenario, tree: Path) -> dict[str, Any]:
    """The same question to pytest-benchmark's own rules: base, then head, one run each."""
    started = time.monotonic()
    with planting.planted(tree, scenario.plants) as copy:
        base, head = pytest_benchmark_run(tree), pytest_benchmark_run(copy)
    return {
        "scenario": f"pytest-benchmark, {scenario.name}",
        "guilty": scenario.guilty,
        "planted": bool(scenario.plants),
        "took_seconds": round(time.monotonic() - started, 1),
        "ratios": {
            case: {rule: _rounded(head[case][rule] / base[case][rule]) for rule in rates.RULES}
            for case in base
        },
    }


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    kinds = (*scenarios(0.1), RULES_SCENARIO)
    parser = commands.add_parser(
        "audit",
        help="how far can the gate be believed on this machine?",
        description="Run real gates on identical code and on planted slowdowns, and print how "
        "often each was called a regression, beside pytest-benchmark's own rules.",
    )
    add = parser.add_argument
    add("--trials", type=arguments.whole_number, default=10, metavar="N", help="of each scenario")
    add(
        "--slowdown",
        type=arguments.percentage,
        default=0.10,
        metavar="SHARE",
        help="to plant (default: 10%%)",
    )
    add(
        "--scenarios",
        type=arguments.several(arguments.one_of("scenario", kinds)),
        default=DEFAULT_SCENARIOS,
        metavar="NAME,...",
        help=f"{', '.join(kinds)} (default: {','.join(DEFAULT_SCENARIOS)})",
    )
    add("--record", type=output_file, metavar="FILE", help="append a line of JSON a gate")
    add("--recorded", type=Path, metavar="FILE", help="measure nothing: say what a record says")
    parser.set_defaults(run=command)


def command(options: argparse.Namespace) -> ExitCode:
    """Run the gates, one scenario after the other in each trial, and print the rates."""
    if options.recorded:
        lines = options.recorded.read_text().splitlines()
        print(rates.as_text([json.loads(line) for line in lines]))
        return ExitCode.OK
    tree = revision.root(Path(__file__).parent)
    known, record = scenarios(options.slowdown), []
    try:
        for trial in range(options.trials):
            for line in measure(options.scenarios, known, tree):
                record.append(line)
                print(f"trial {trial + 1}: {describe(line)}", file=sys.stderr, flush=True)
                if options.record:
                    with options.record.open("a") as file:
                        file.write(json.dumps(line) + "\n")
    finally:  # Ctrl-C keeps what is there
        print(rates.as_text(record))
    return ExitCode.OK


def measure(
    chosen: Sequence[str], known: Mapping[str, Sequence[Scenario]], tree: Path
) -> Iterator[dict[str, Any]]:
    """One gate of every chosen scenario: its line in the record."""
    for name in chosen:
        if name == RULES_SCENARIO:
            yield from (run_rules(one, tree) for key in RULES_ASKED for one in known[key])
        else:
            yield from (run(one, tree) for one in known[name])


def describe(line: Mapping[str, Any]) -> str:
    """A finished gate in a line."""
    words = [line["scenario"], f"{line['took_seconds']:.0f} s"]
    for name, said in line.get("verdicts", {}).items():
        if said != "ok":
            words.append(f"{name} {said} {line['ratios'][name]} {line['reasons'].get(name, '')}")
    return "; ".join(words)
