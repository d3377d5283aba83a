"""How often the gates of a record were wrong, with exact bounds."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Column, Table
from rich.text import Text
from scipy import stats

from bench.gate.audit.record import Line
from bench.gate.result import WIDTH, rendered
from bench.gate.verdict import Verdict

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


def flagged(gates: Sequence[Line], slowed: str = "") -> Rate:
    """How often a slowed case was a regression; without one, how often a gate did not pass."""
    if slowed:
        times = sum(gate["verdicts"].get(slowed) == Verdict.REGRESSION for gate in gates)
    else:
        times = sum(gate["exit_code"] != 0 for gate in gates)
    return Rate(times=times, of=len(gates))


def as_text(record: Sequence[Line]) -> str:
    """Draw the table of rates: a row for each place where something was planted."""
    numbers = ("regression", "95 % bound", "other verdicts", "a gate")
    table = Table("what was compared", *(Column(name, justify="right") for name in numbers))
    by_scenario = defaultdict(list)
    for line in record:
        by_scenario[line["scenario"]].append(line)
    for scenario, gates in by_scenario.items():
        seconds = statistics.median(gate["took_seconds"] for gate in gates)
        for slowed in gates[0]["guilty"] or ("",):
            rate = flagged(gates, slowed)
            case = slowed.rpartition("::")[2]
            cells = (
                f"{scenario}, {case}" if case else scenario,
                f"{rate.times} of {rate.of}",
                f"at least {rate.at_least:.1%}" if case else f"at most {rate.at_most:.1%}",
                _others(gates),
                f"{seconds:.0f} s",
            )
            table.add_row(*map(Text, cells))  # as text: a name's brackets are no markup
    return rendered(table, WIDTH)


def _others(gates: Sequence[Line]) -> str:
    """Count gates with a verdict that is neither ok nor a regression that was planted."""
    counts = Counter(
        verdict
        for gate in gates
        for verdict in {
            verdict
            for name, verdict in gate["verdicts"].items()
            if verdict != Verdict.OK
            and not (name in gate["guilty"] and verdict == Verdict.REGRESSION)
        }
    )
    return ", ".join(f"{verdict} {times}" for verdict, times in counts.items()) or "none"
