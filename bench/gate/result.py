"""What a gate found: a table and a sentence, markdown for a pull request, JSON for machines."""

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.gate.verdict import Evidence, Judgement, Verdict
from bench.units import seconds

WIDTH = 120
HEADINGS = ("case", "base", "head", "ratio", "95 % interval", "would catch", "verdict")


class ExitCode(IntEnum):
    """What a gate ends with."""

    OK = 0
    REGRESSION = 1
    USAGE = 2  # argparse's own, for a command line that makes no sense
    INCONCLUSIVE = 3
    INCOMPARABLE = 4


# From the worst on: what decides the exit code, and how the sentence about it begins.
FAILURES = {
    ExitCode.REGRESSION: (Verdict.REGRESSION, "Regression"),
    ExitCode.INCOMPARABLE: (Verdict.INCOMPARABLE, "Incomparable, so nothing passed"),
    ExitCode.INCONCLUSIVE: (Verdict.INCONCLUSIVE, "Inconclusive, so nothing passed"),
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished gate."""

    base: str  # what was compared, in words
    head: str
    margin: float
    took_seconds: float | None  # None where saved runs were read
    setting: Mapping[str, Any]  # versions, threads, cores
    evidence: Evidence
    judgements: Mapping[str, Judgement]

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the worst verdict."""
        found = {judgement.verdict for judgement in self.judgements.values()}
        for code, (verdict, _) in FAILURES.items():
            if verdict in found:
                return code
        judged = found - {Verdict.LEFT_OUT}
        return ExitCode.OK if judged else ExitCode.INCONCLUSIVE


def sentence(result: Result) -> str:
    """Sum up the gate in one sentence."""
    judged = result.judgements.items()
    named = {
        verdict: ", ".join(name for name, one in judged if one.verdict is verdict)
        for verdict in Verdict
    }
    if result.exit_code in FAILURES:
        verdict, words = FAILURES[result.exit_code]
        text = f"{words}: {named[verdict] or 'no case'}."
    else:
        faster = named[Verdict.IMPROVEMENT] and f"; faster: {named[Verdict.IMPROVEMENT]}"
        text = f"No case was found slower than the base by more than {result.margin:.0%}{faster}."
    took = "" if result.took_seconds is None else f", {result.took_seconds:.0f} s"
    return f"{text} Compared: {result.head} with {result.base}{took}."


def rows(result: Result) -> list[tuple[str, ...]]:
    """The table's cells, a row a case or family."""
    cells: list[tuple[str, ...]] = []
    for name, one in result.judgements.items():
        found = one.estimate
        measured = result.evidence.seconds.get(name, ())
        base, *_, head = [seconds(statistics.median(values)) for values in measured] or ["-", "-"]
        cells.append(
            (
                _shortened(name, result) + ", all" * (not measured and found.ratio is not None),
                base,
                head,
                "-" if found.ratio is None else f"{found.ratio:.3f}",
                "-" if found.low is None else f"{found.low:.3f} to {found.high:.3f}",
                "-" if found.detectable is None else f"{found.detectable:.0%}",
                str(one.verdict),
            )
        )
    return cells


def _shortened(name: str, result: Result) -> str:
    """Leave out a case's file where its function is in no other."""
    file, _, rest = name.partition("::")
    function = re.split(r"[\[,]", rest)[0]
    others = (other.partition("::") for other in result.judgements if other != name)
    is_elsewhere = any(
        other != file and re.split(r"[\[,]", rest)[0] == function for other, _, rest in others
    )
    return name if is_elsewhere or not rest else rest


def reasons(result: Result) -> list[str]:
    """Return a line for each reason that is not speed, with its cases."""
    named = defaultdict(list)
    for name, one in result.judgements.items():
        if one.reason:
            named[f"{one.verdict}, {one.reason}"].append(name)
    return [f"{reason}: {', '.join(names)}" for reason, names in named.items()]


def as_text(result: Result) -> str:
    """Render the table, the reasons and the sentence."""
    table = _laid_out(result, box.HEAVY_HEAD, WIDTH)
    return "\n".join([table, *reasons(result), sentence(result)])


def as_markdown(result: Result) -> str:
    """Render the same for a comment on a pull request."""
    # Wide, since a row of markdown is one line.
    table = _laid_out(result, box.MARKDOWN, 10_000)
    return "\n\n".join([table, *reasons(result), sentence(result)]) + "\n"


def as_json(result: Result) -> str:
    """Render the evidence and the verdicts as JSON."""
    return json.dumps(asdict(result) | {"exit_code": int(result.exit_code)}, indent=1) + "\n"


def _laid_out(result: Result, style: box.Box, width: int) -> str:
    table = Table(box=style)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in {"case", "verdict"} else "right")
    mark = "/" if style is box.MARKDOWN else "|"  # which ends a cell of markdown
    for cells in rows(result):
        # As text: a name's brackets are no markup.
        table.add_row(*(Text(cell.replace("|", mark)) for cell in cells))
    return rendered(table, width)


def rendered(table: Table, width: int) -> str:
    """Draw a table without colours."""
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get().strip()
