"""A finished gate: its table and sentence, markdown for a pull request, JSON for machines."""

import json
import os
import re
import statistics
import sys
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_duet import ExitCode
from pytest_duet.units import counted, seconds
from pytest_duet.verdict import Evidence, Judgement, Verdict

WIDTH = 120
HEADINGS = ("case", "base", "head", "ratio", "95 % interval", "would catch", "verdict")

# The verdict behind each exit code, and the first words of its sentence, from the worst down.
FAILURES = {
    ExitCode.REGRESSION: (Verdict.REGRESSION, "Regression"),
    ExitCode.INCOMPARABLE: (Verdict.INCOMPARABLE, "Incomparable, so nothing passed"),
    ExitCode.INCONCLUSIVE: (Verdict.INCONCLUSIVE, "Inconclusive, so nothing passed"),
    ExitCode.NOT_JUDGED: (Verdict.NOT_JUDGED, "Not judged in time"),
}
# Verdicts from the top of the table down.
ORDER = [verdict for verdict, _ in FAILURES.values()]
ORDER += [Verdict.IMPROVEMENT, Verdict.OK, Verdict.LEFT_OUT]
MOST_NAMES = 5  # names listed before "and 3 more"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished gate."""

    base: str  # such as "main (b98dcbe)"
    head: str
    margin: float
    took_seconds: float
    setting: Mapping[str, Any]
    evidence: Evidence
    judgements: Mapping[str, Judgement]

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the worst verdict."""
        verdicts = {judgement.verdict for judgement in self.judgements.values()}
        for code, (verdict, _) in FAILURES.items():
            if verdict in verdicts:
                return code
        judged = verdicts - {Verdict.LEFT_OUT}
        return ExitCode.OK if judged else ExitCode.INCONCLUSIVE


def sentence(result: Result) -> str:
    """Sum up the gate in one sentence."""
    listed = {
        verdict: _listed([_shortened(name, result) for name in _with_verdict(result, verdict)])
        for verdict in Verdict
    }
    if result.exit_code in FAILURES:
        verdict, opening = FAILURES[result.exit_code]
        text = f"{opening}: {listed[verdict] or 'no case'}."
    else:
        faster = listed[Verdict.IMPROVEMENT] and f"; faster: {listed[Verdict.IMPROVEMENT]}"
        text = f"No case was found slower than the base by more than {result.margin:.0%}{faster}."
    return f"{text} Compared: {result.head} with {result.base}, {result.took_seconds:.0f} s."


def _with_verdict(result: Result, verdict: Verdict) -> list[str]:
    judgements = result.judgements.items()
    return [name for name, judgement in judgements if judgement.verdict is verdict]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _rows(result: Result, *, is_verbose: bool) -> list[tuple[str, ...]]:
    """Return the table's cells, a row per case or family, the worst verdicts first."""
    rows: list[tuple[str, ...]] = []
    shown = [verdict for verdict in ORDER if is_verbose or verdict is not Verdict.OK]
    for name in [name for verdict in shown for name in _with_verdict(result, verdict)]:
        judgement = result.judgements[name]
        estimate = judgement.estimate
        measured = result.evidence.seconds.get(name, ())
        base, *_, head = [seconds(statistics.median(values)) for values in measured] or ["-", "-"]
        rows.append(
            (
                _shortened(name, result) + ", all" * (not measured and estimate.ratio is not None),
                base,
                head,
                "-" if estimate.ratio is None else f"{estimate.ratio:.3f}",
                "-" if estimate.low is None else f"{estimate.low:.3f} to {estimate.high:.3f}",
                "-" if estimate.detectable is None else f"{estimate.detectable:.0%}",
                str(judgement.verdict),
            )
        )
    return rows


def _folded(result: Result) -> str:
    """Sum up the cases that are ok in one line."""
    names = _with_verdict(result, Verdict.OK)
    if not names:
        return ""
    cases = sum(name in result.evidence.seconds for name in names)
    families = f" and {counted(len(names) - cases, 'group')} of cases" * (cases < len(names))
    estimates = [result.judgements[name].estimate for name in names]
    ratios = [estimate.ratio for estimate in estimates if estimate.ratio is not None]
    highest = max(estimate.high for estimate in estimates if estimate.high is not None)
    return (
        f"ok: {counted(cases, 'case')}{families}, ratios {min(ratios):.3f} to {max(ratios):.3f}; "
        f"every 95 % interval ends at {highest:.3f} or below (-v lists them)"
    )


def _shortened(name: str, result: Result) -> str:
    """Drop the file from a case's name, unless another file has a function of that name."""
    file, _, rest = name.partition("::")
    function = re.escape(re.split(r"[\[,]", rest)[0])
    is_elsewhere = any(
        re.search(rf"::{function}([\[,]|$)", other) and other.partition("::")[0] != file
        for other in result.judgements
    )
    return name if is_elsewhere or not rest else rest


def reasons(result: Result) -> list[str]:
    """Return a line per verdict and reason, with its cases."""
    names_by_reason = defaultdict(list)
    for name, judgement in result.judgements.items():
        if judgement.reason:
            names_by_reason[f"{judgement.verdict}, {judgement.reason}"].append(name)
    return [f"{reason}: {_listed(names)}" for reason, names in names_by_reason.items()]


def as_text(result: Result, *, is_verbose: bool = False) -> str:
    """Render the table, the reasons and, last, the sentence that decides."""
    parts = _parts(result, box.HEAVY_HEAD, WIDTH, is_verbose=is_verbose)
    lines = [line for part in parts for line in part.splitlines()]
    return "\n".join(
        textwrap.fill(line, WIDTH, break_on_hyphens=False) if len(line) > WIDTH else line
        for line in lines
    )


def as_markdown(result: Result, *, is_verbose: bool = False) -> str:
    """Render the same as markdown, for a comment on a pull request."""
    # The width is large because a row of markdown must be one line.
    parts = _parts(result, box.MARKDOWN, 10_000, is_verbose=is_verbose)
    return "\n\n".join(parts) + "\n"


def _parts(result: Result, style: box.Box, width: int, *, is_verbose: bool) -> list[str]:
    rows = _rows(result, is_verbose=is_verbose)
    parts = [_drawn(rows, style, width)] if rows else []
    folded = "" if is_verbose else _folded(result)
    return [*parts, *reasons(result), *([folded] if folded else []), sentence(result)]


def as_json(result: Result) -> str:
    """Render the evidence and the verdicts as JSON."""
    return json.dumps(asdict(result) | {"exit_code": int(result.exit_code)}, indent=1) + "\n"


def _drawn(rows: Sequence[tuple[str, ...]], style: box.Box, width: int) -> str:
    table = Table(box=style)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in {"case", "verdict"} else "right")
    mark = "/" if style is box.MARKDOWN else "|"  # "|" ends a cell of markdown
    for cells in rows:
        # Text, because rich would read the brackets in a name as markup.
        table.add_row(*(Text(cell.replace("|", mark)) for cell in cells))
    return rendered(table, width)


def rendered(table: Table, width: int) -> str:
    """Draw a table without colours."""
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get().strip()


def show(text: str) -> None:
    """Print a text; drop the rest if the reader has gone, as with `| head`."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python flushes the stream once more when it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write(file: Path, text: str) -> bool:
    """Write a file completely, or print why it cannot be written and return False."""
    try:
        if file.exists() and not file.is_file():  # such as a pipe
            file.write_text(text, encoding="utf-8")
        else:
            target = file.resolve()
            temporary = target.with_name(f".{target.name}.{os.getpid()}")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(target)
    except OSError as error:
        print(f"error: {file} cannot be written: {error.strerror}", file=sys.stderr)
        return False
    return True
