"""How often the gates of a record were wrong, and how often they would be when resampled."""

import itertools
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text
from scipy import stats

from bench.cases import Case, gate_cases
from bench.gate import trial, verdict
from bench.gate.audit.record import (
    COMPARE_FAIL_FIELDS,
    IDENTICAL,
    Line,
    by_scenario,
    is_slip,
)
from bench.gate.pair_tests import Pair
from bench.gate.result import WIDTH
from bench.gate.verdict import Evidence, Verdict

COMPARE_FAIL_LIMIT = 1.10  # --benchmark-compare-fail=min:10%
RESAMPLED_GATES = 10_000
LEAST_PAIRS = 100  # of each case, for resampling to mean something


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How often a gate called a regression."""

    what: str
    times: int
    gates: int
    median_seconds: float | None = None  # of a gate; None where it was resampled

    @property
    def interval(self) -> tuple[float, float]:
        """The rate's exact 95 % bounds (Clopper and Pearson 1934)."""
        bounds = stats.binomtest(self.times, self.gates).proportion_ci(method="exact")
        return float(bounds.low), float(bounds.high)


def measured(record: Sequence[Line]) -> list[Rate]:
    """A rate for each scenario but slips; two for each that pytest-benchmark's rules were asked."""
    rates = []
    for scenario, gates in by_scenario(record).items():
        if is_slip(gates[0]):
            continue
        fields = ("",) if "verdicts" in gates[0] else COMPARE_FAIL_FIELDS
        rates += [
            Rate(
                what=f"{scenario}, {field}:10%" if field else scenario,
                times=sum(_called(gate, field) for gate in gates),
                gates=len(gates),
                median_seconds=statistics.median(gate["took_seconds"] for gate in gates),
            )
            for field in fields
        ]
    return rates


def _called(gate: Line, field: str) -> bool:
    """Whether the guilty case was called a regression, or any where none is named."""
    names = [gate["guilty"]] if gate["guilty"] else list(gate["ratios"])
    if field:
        return any(gate["ratios"][name][field] > COMPARE_FAIL_LIMIT for name in names)
    return any(gate["verdicts"].get(name) == Verdict.REGRESSION for name in names)


def resampled(
    record: Sequence[Line], *, gates: int = RESAMPLED_GATES, slowdown: float = 0.10
) -> list[Rate]:
    """The same decision over contiguous blocks of the pairs recorded on identical code.

    A block a case: a noisy minute stays one, and cases combine anew. A rate for identical code, and
    one for a slowdown planted in each case and family: added to the head's log ratios.
    """
    pairs = _recorded_pairs(record)
    chosen = [case for case in gate_cases() if case.name in pairs]
    if not chosen or min(len(pairs[case.name]) for case in chosen) < LEAST_PAIRS:
        return []
    identical = Replay(pairs=pairs, cases=chosen)
    alarms = sum(Verdict.REGRESSION in identical.gate(seed).values() for seed in range(gates))
    rates = [Rate(what=f"resampled, {IDENTICAL}", times=alarms, gates=gates)]
    for guilty in dict.fromkeys([case.name for case in chosen] + [case.family for case in chosen]):
        replay = Replay(pairs=pairs, cases=chosen, guilty=guilty, slowdown=slowdown)
        found = sum(
            replay.gate(seed).get(guilty) is Verdict.REGRESSION for seed in range(gates // 10)
        )
        what = f"resampled, {slowdown:.0%} in {guilty}"
        rates.append(Rate(what=what, times=found, gates=gates // 10))
    return rates


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Gates on recorded pairs, with a slowdown added in the guilty case or family."""

    pairs: Mapping[str, Sequence[Pair]]
    cases: Sequence[Case]
    guilty: str = ""
    slowdown: float = 0.0

    def gate(self, seed: int) -> dict[str, Verdict]:
        """The verdicts of a gate on one contiguous block of each case."""
        rng = random.Random(seed)
        starts = {case.name: rng.randrange(len(self.pairs[case.name])) for case in self.cases}
        measured = itertools.count()

        def measure(cases: Sequence[Case]) -> dict[str, Pair]:
            position = next(measured)
            return {case.name: self._pair(case, starts[case.name] + position) for case in cases}

        screen, confirm, restless = trial.attempt(measure, self.cases, margin=verdict.MARGIN)
        evidence = Evidence(screen=screen, confirm=confirm, restless=restless)
        judged = verdict.judge(evidence, margin=verdict.MARGIN)
        return {name: one.verdict for name, one in judged.items()}

    def _pair(self, case: Case, position: int) -> Pair:
        pairs = self.pairs[case.name]
        pair = pairs[position % len(pairs)]
        slowed = self.guilty in {case.name, case.family}
        return replace(pair, head=pair.head + slowed * math.log1p(self.slowdown))


def _recorded_pairs(record: Sequence[Line]) -> dict[str, list[Pair]]:
    """Every pair on identical code, by case, in the order in which they were measured."""
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for gate in record:
        if gate["scenario"] == IDENTICAL:
            for name, seen in gate["screen"].items():
                pairs[name] += [Pair(head=head, control=control) for head, control in seen]
    return pairs


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far log ratios of identical code lie from zero, as standard deviations."""

    name: str
    pairs: int
    within_gates: float  # of a pair, beside what it shares with the others of its gate
    between_gates: float  # of what the forks of one gate's servers share


def spreads(record: Sequence[Line]) -> list[Spread]:
    """The spread of pairs on identical code, by one-way analysis of variance over gates."""
    gates = [gate["screen"] for gate in record if gate["scenario"] == IDENTICAL]
    names = [name for name in gates[0] if all(name in gate for gate in gates)] if gates else []
    found = []
    for name in names:
        # A gate's heads, and its controls, are a group each: (groups, pairs).
        groups = np.concatenate([np.array(gate[name]).T for gate in gates])
        within = groups.var(axis=1, ddof=1).mean()
        between = groups.mean(axis=1).var(ddof=1) - within / groups.shape[1]
        found.append(
            Spread(
                name=name,
                pairs=groups.size // 2,
                within_gates=math.sqrt(within),
                between_gates=math.sqrt(max(0.0, between)),
            )
        )
    return found


def as_text(record: Sequence[Line]) -> str:
    """The rates, measured and resampled, a line for each slip, and the spreads."""
    table = _table("what was compared", "called a regression", "rate", "95 % bounds", "a gate")
    for rate in [*measured(record), *resampled(record)]:
        low, high = rate.interval
        resampled_ = rate.median_seconds is None  # its bounds would count resamples, not pairs
        table.add_row(
            Text(rate.what),
            f"{rate.times:,} of {rate.gates:,}",
            f"{rate.times / rate.gates:.1%}",
            "-" if resampled_ else f"{low:.1%} to {high:.1%}",
            "-" if resampled_ else f"{rate.median_seconds:.0f} s",
        )
    spread = _table("identical code", "pairs", "spread of a pair", "shared by a gate's pairs")
    for one in spreads(record):
        spread.add_row(
            Text(one.name), str(one.pairs), f"{one.within_gates:.1%}", f"{one.between_gates:.1%}"
        )
    console = Console(width=WIDTH, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
        console.print("\n".join(_slips(record)), markup=False, soft_wrap=True)
        console.print(spread)
    return capture.get().rstrip()


def _table(first: str, *others: str) -> Table:
    table = Table()
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _slips(record: Sequence[Line]) -> Iterator[str]:
    """What became of a change that was planted at its own size."""
    for gate in record:
        if is_slip(gate):
            name = max(gate["ratios"], key=lambda name: gate["ratios"][name] or 0)
            calls = [
                f"{case} {verdict_}{_because(gate, case)} (x {gate['ratios'][case]:.3f})"
                for case, verdict_ in gate["verdicts"].items()
                if verdict_ != Verdict.OK
            ]
            missed = (
                f"not called; at most x {gate['ratios'][name]:.3f}, in {name}, where "
                f"{gate['detectable'][name]:.0%} would have been caught"
            )
            yield f"{gate['scenario']}: {'; '.join(calls) or missed}"


def _because(gate: Line, case: str) -> str:
    return f", {gate['reasons'][case]}" if case in gate["reasons"] else ""
