"""How often the gates of a record were wrong, and whether their intervals held."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Column, Table
from rich.text import Text
from scipy import stats

from bench.gate.audit.record import COMPARE_FAIL_FIELDS, IDENTICAL, Line, by_scenario
from bench.gate.result import WIDTH, rendered
from bench.gate.verdict import Verdict

COMPARE_FAIL_LIMIT = 1.10  # --benchmark-compare-fail=min:10%
CONFIDENCE = 0.95  # of each one-sided bound


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How often something happened, and its one-sided exact bounds (Clopper and Pearson 1934)."""

    times: int
    of: int

    @property
    def at_least(self) -> float:
        """The lower bound, at 95 %."""
        test = stats.binomtest(self.times, self.of, alternative="greater")
        return float(test.proportion_ci(confidence_level=CONFIDENCE).low)

    @property
    def at_most(self) -> float:
        """The upper bound, at 95 %."""
        test = stats.binomtest(self.times, self.of, alternative="less")
        return float(test.proportion_ci(confidence_level=CONFIDENCE).high)


def called(gates: Sequence[Line], guilty: str = "", field: str = "") -> Rate:
    """How often the guilty case was called a regression, or any where none is guilty.

    Args:
        gates: of one scenario.
        guilty: a case or family that was planted.
        field: of pytest-benchmark's rules, where they were asked.

    """
    return Rate(times=sum(_is_called(gate, guilty, field) for gate in gates), of=len(gates))


def _is_called(gate: Line, guilty: str, field: str) -> bool:
    if field:
        names = [_without_file(guilty)] if guilty else list(gate["ratios"])
        return any(gate["ratios"][name][field] > COMPARE_FAIL_LIMIT for name in names)
    if guilty:
        return bool(gate["verdicts"].get(guilty) == Verdict.REGRESSION)
    return bool(gate["exit_code"])


def _without_file(name: str) -> str:
    """Return a case's name as pytest-benchmark's rules know it."""
    return name.rpartition("::")[2]


def is_slip(gate: Line) -> bool:
    """Whether the planted change had no set size, so that any case may show it."""
    return bool(gate["scenario"].startswith("slip"))


@dataclass(frozen=True, kw_only=True)
class CaseSummary:
    """What the gates of a record say of one case whose true ratio is known."""

    held: Rate  # how often the 95 % interval held the true ratio
    within_gates: float  # sd of a pair on identical code, beside what its gate's pairs share
    between_gates: float  # sd of what they share


def cases(record: Sequence[Line]) -> dict[str, CaseSummary]:
    """Coverage over identical and planted gates; spreads over identical ones.

    The spreads are a one-way analysis of variance over gates; the heads of a gate's screen are a
    group. With a negative estimate, what is shared is 0.
    """
    held: dict[str, list[bool]] = defaultdict(list)
    groups: dict[str, list[list[float]]] = defaultdict(list)
    for gate in record:
        if "estimates" not in gate or is_slip(gate):
            continue
        for name, (_, *interval) in gate["estimates"].items():
            is_known = name in (gate["guilty"] or gate["estimates"])  # others may share a part
            if is_known and len(interval) > 1:
                held[name].append(interval[0] <= 1 + gate["slowdown"] <= interval[1])
        if gate["scenario"] == IDENTICAL:
            for name, pairs in gate["screen"].items():
                groups[name].append([head for head, _ in pairs])
    return {
        name: CaseSummary(held=Rate(times=sum(seen), of=len(seen)), **_spreads(groups[name]))
        for name, seen in held.items()
        if len(groups[name]) > 1
    }


def _spreads(groups: Sequence[Sequence[float]]) -> Mapping[str, float]:
    values = np.array(groups)
    within = values.var(axis=1, ddof=1).mean()
    between = values.mean(axis=1).var(ddof=1) - within / values.shape[1]
    return {
        "within_gates": math.sqrt(within),
        "between_gates": math.sqrt(max(0.0, float(between))),
    }


def as_text(record: Sequence[Line]) -> str:
    """Tables of rates and of cases, and a line for each slip."""
    scenario_table = rendered(_scenario_table(record), WIDTH)
    case_table = rendered(_case_table(record), WIDTH)
    return "\n".join([scenario_table, *_slips(record), case_table])


def _scenario_table(record: Sequence[Line]) -> Table:
    table = _table("what was compared", "regression", "95 % bound", "other verdicts", "a gate")
    for scenario, gates in by_scenario(record).items():
        if not is_slip(gates[0]):
            for row in _rows(scenario, gates):
                table.add_row(*row)
    return table


def _rows(scenario: str, gates: Sequence[Line]) -> Iterator[tuple[Text, ...]]:
    """Yield a row for what was planted in each place, and by each of pytest-benchmark's rules."""
    seconds = statistics.median(gate["took_seconds"] for gate in gates)
    for field in ("",) if "verdicts" in gates[0] else COMPARE_FAIL_FIELDS:
        for guilty in gates[0]["guilty"] or ("",):
            if field and guilty and _without_file(guilty) not in gates[0]["ratios"]:
                continue  # a family, which these rules don't know
            rate = called(gates, guilty, field)
            words = [scenario, _without_file(guilty), f"{field}:10%" * bool(field)]
            bound = f"at least {rate.at_least:.1%}" if guilty else f"at most {rate.at_most:.1%}"
            cells = (
                ", ".join(filter(None, words)),
                f"{rate.times} of {rate.of}",
                bound,
                "-" if field else _others(gates),
                f"{seconds:.0f} s",
            )
            yield tuple(map(Text, cells))


def _others(gates: Sequence[Line]) -> str:
    """Count gates with a verdict that is neither ok nor a regression that was planted."""
    counts = Counter(
        verdict
        for gate in gates
        for verdict in {
            one
            for name, one in gate["verdicts"].items()
            if one != Verdict.OK and not (name in gate["guilty"] and one == Verdict.REGRESSION)
        }
    )
    return ", ".join(f"{verdict} {times}" for verdict, times in counts.items()) or "none"


def _case_table(record: Sequence[Line]) -> Table:
    table = _table("case", "interval holds", "spread of a pair", "shared by a gate's pairs")
    for name, one in cases(record).items():
        table.add_row(
            Text(_without_file(name)),
            f"{one.held.times} of {one.held.of}, {one.held.times / one.held.of:.0%}",
            f"{one.within_gates:.2%}",
            f"{one.between_gates:.2%}",
        )
    return table


def _table(first: str, *others: str) -> Table:
    return Table(first, *(Column(heading, justify="right") for heading in others))


def _slips(record: Sequence[Line]) -> Iterator[str]:
    """What became of a change that was planted at its own size."""
    for gate in record:
        if is_slip(gate):
            yield f"{gate['scenario']}: {_calls(gate) or _no_call(gate)}"


def _calls(gate: Line) -> str:
    """Name the cases that were not ok, once a reason; empty where all were."""
    named: dict[str, list[str]] = defaultdict(list)
    for name, verdict in gate["verdicts"].items():
        if verdict != Verdict.OK:
            found = gate["estimates"].get(name)
            size = f" (x {found[0]:.3f})" if found else ""
            why = " ".join(filter(None, [verdict, gate["reasons"].get(name)]))
            named[why].append(_without_file(name) + size)
    return "; ".join(f"{why}: {', '.join(names)}" for why, names in named.items())


def _no_call(gate: Line) -> str:
    """Say how far the slowest case was from being called."""
    name, (ratio, *_, detectable) = max(gate["estimates"].items(), key=lambda one: one[1][0])
    return (
        f"not called; at most x {ratio:.3f}, in {_without_file(name)}, where {detectable:.0%} "
        "would have been caught"
    )
