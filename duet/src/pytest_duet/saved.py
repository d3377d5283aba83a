"""The gate's verdicts from saved pytest-benchmark files, one or more a side.

The replicate is the file, never the round: rounds of one run share its minute and its process.
"""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from pytest_duet import IncomparableError, UsageError, pair_tests, verdict
from pytest_duet.duet_server.channel import PEAK_MEMORY
from pytest_duet.pair_tests import CONFIDENCE, POWER, Estimate
from pytest_duet.result import Result
from pytest_duet.verdict import Evidence, Judgement, Verdict

# Fields of machine_info that differ between equal machines, or do not change speed.
NO_DIFFERENCE = {"node", "processor", "release", "python_build", "python_compiler"}
REASONABLE_SECONDS = 1e-12, 1e9  # a median outside is no time


@dataclass(frozen=True, kw_only=True)
class SavedCase:
    """One case of a saved run."""

    family: str  # its function, and its group if any
    seconds: float  # median of its rounds
    peak_memory_bytes: int  # 0 where none is stored
    info: Mapping[Any, Any]  # everything that it stored in extra_info


@dataclass(frozen=True, kw_only=True)
class SavedRun:
    """One file of pytest-benchmark."""

    file: Path
    when: str
    machine: Mapping[str, str | int]
    cases: Mapping[str, SavedCase]  # by full name


def compare(
    base_files: Sequence[Path],
    head_files: Sequence[Path],
    *,
    margin: float,
    same: Sequence[str] = (),
) -> Result:
    """Judge the runs of the head's files against those of the base's.

    Args:
        base_files: saved runs of the base.
        head_files: saved runs of the head.
        margin: a slowdown up to this passes.
        same: names in extra_info; a case whose runs do not agree on them is incomparable.

    """
    base, head = ([read(file) for file in files] for files in (base_files, head_files))
    check_comparable([*base, *head])
    judgements, seconds = judge(base, head, margin=margin, same=same)
    return Result(
        base=f"{len(base)} saved runs",
        head=f"{len(head)} saved runs",
        margin=margin,
        took_seconds=None,
        setting=base[0].machine,
        evidence=Evidence(screen={}, confirm={}, seconds=seconds),
        judgements=judgements,
    )


def read(file: Path) -> SavedRun:
    """Read a file that pytest-benchmark saved.

    Raises:
        UsageError: it cannot be read, or is something else.

    """
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no run that pytest-benchmark saved: {error}") from error
    match content:
        case {"benchmarks": [*cases], "datetime": str(when), "machine_info": {**machine}}:
            return SavedRun(
                file=file,
                when=when,
                machine=_machine(machine),
                cases=dict(_read_case(case, file) for case in cases),
            )
    raise UsageError(
        f"{file} is no run that pytest-benchmark saved: it lacks benchmarks, datetime or "
        "machine_info"
    )


def _read_case(case: Any, file: Path) -> tuple[str, SavedCase]:
    least, most = REASONABLE_SECONDS
    match case:
        case {
            "fullname": str(name),
            "stats": {"median": float(seconds) | int(seconds)},
            "extra_info": {**info},
        } if least < seconds < most and name.isprintable():
            function, group = name.partition("[")[0], case.get("group")
            peak = info.get(PEAK_MEMORY)
            return name, SavedCase(
                family=f"{function}, {group}" if isinstance(group, str) else function,
                seconds=seconds,
                peak_memory_bytes=peak if isinstance(peak, int) and 0 < peak < 2**63 else 0,
                info=info,
            )
    shown = ascii(case)[:60]
    raise UsageError(f"{file} holds a case without a fullname, a median or extra_info: {shown}")


def _machine(info: Mapping[Any, Any]) -> dict[str, str | int]:
    """Return what decides how fast a machine is, as far as the file tells."""
    cpu = info.get("cpu")
    fields = {**info, "cpu": cpu.get("brand_raw") if isinstance(cpu, dict) else None}
    return {
        name: value
        for name, value in fields.items()
        if isinstance(value, str | int) and name not in NO_DIFFERENCE
    }


def check_comparable(runs: Sequence[SavedRun]) -> None:
    """Refuse runs of different machines or versions, and one run given twice."""
    first = runs[0]
    for run in runs[1:]:
        if run.when in {other.when for other in runs if other is not run}:
            raise IncomparableError(f"{run.file} is a run that is given twice")
        differences = [
            f"{name} ({first.machine.get(name)} and {run.machine.get(name)})"
            for name in {**first.machine, **run.machine}
            if run.machine.get(name) != first.machine.get(name)
        ]
        if differences:
            raise IncomparableError(
                f"{first.file} and {run.file} differ in {differences[0]}"
                + (f" and {len(differences) - 1} more" if len(differences) > 1 else "")
            )


def judge(
    base: Sequence[SavedRun], head: Sequence[SavedRun], *, margin: float, same: Sequence[str] = ()
) -> tuple[dict[str, Judgement], dict[str, list[list[float]]]]:
    """Return a judgement for every case and family, and the seconds that each case's rests on."""
    judgements: dict[str, Judgement] = {}
    seconds: dict[str, list[list[float]]] = {}
    for name in dict.fromkeys(name for run in [*head, *base] for name in run.cases):
        reason = _cannot_compare(name, base, head, same)
        if reason:
            judgements[name] = Judgement(name=name, verdict=Verdict.INCOMPARABLE, reason=reason)
        else:
            seconds[name] = [[run.cases[name].seconds for run in runs] for runs in (base, head)]
    logs = {name: (np.log(ours), np.log(theirs)) for name, (ours, theirs) in seconds.items()}
    families = {name: head[0].cases[name].family for name in logs}
    for family, names in pair_tests.members(families).items():
        base_logs, head_logs = (
            np.mean([logs[name][side] for name in names], axis=0) for side in (0, 1)
        )
        logs[family] = base_logs, head_logs
    judgements |= judge_speed(logs, margin=margin)
    for name in seconds:
        base_bytes, head_bytes = (_peaks(name, runs) for runs in (base, head))
        # The runs are no pairs: each of the head must exceed the largest of the base.
        peak_bytes = [[max(base_bytes), head] for head in head_bytes]
        if all(base_bytes) and (reason := verdict.memory_growth(peak_bytes)):
            judgements[name] = replace(judgements[name], verdict=Verdict.REGRESSION, reason=reason)
    return judgements, seconds


def _cannot_compare(
    name: str, base: Sequence[SavedRun], head: Sequence[SavedRun], same: Sequence[str]
) -> str:
    """Return why a case cannot be compared; empty where it can."""
    runs = [*base, *head]
    for run in runs:
        if name not in run.cases:
            return f"missing in {run.file.name}"
    first, *others = runs
    for key in same:
        for other in others:
            value, another = (run.cases[name].info.get(key) for run in (first, other))
            if value != another:
                return f"{key} is {value!a} in {first.file.name}, {another!a} in {other.file.name}"
    if any(_peaks(name, base)) and not all(_peaks(name, head)):
        return f"head no longer stores {PEAK_MEMORY}"
    return ""


def _peaks(name: str, runs: Sequence[SavedRun]) -> list[int]:
    return [run.cases[name].peak_memory_bytes for run in runs]


def judge_speed(
    logs: Mapping[str, tuple[np.ndarray, np.ndarray]], *, margin: float
) -> dict[str, Judgement]:
    """Judge log times, base's and head's, a value a run, by exact rank tests.

    Mann and Whitney's test of "head is at most 1 + margin times base", after Holm's correction over
    all cases and families.
    """
    if not logs:
        return {}
    base_runs, head_runs = (len(side) for side in next(iter(logs.values())))
    threshold = math.log1p(margin)
    judgements = verdict.of_tests(
        {name: _rank_test(head, base + threshold) for name, (base, head) in logs.items()},
        {name: _rank_test(base, head + threshold) for name, (base, head) in logs.items()},
        {
            name: _estimate(*both, margin=margin, hypotheses=len(logs))
            for name, both in logs.items()
        },
        dict.fromkeys(logs, min(base_runs, head_runs)),
        margin=margin,
    )
    if smallest_p(base_runs, head_runs) <= pair_tests.LEVEL / len(logs):
        return judgements
    needed = f"{runs_needed(len(logs))} a side are needed"
    return verdict.inconclusive(
        judgements, f"too few runs: {base_runs} and {head_runs}, and {needed}"
    )


def smallest_p(base_runs: int, head_runs: int) -> float:
    """The least that the rank test can give for so many runs a side."""
    return 1 / math.comb(base_runs + head_runs, head_runs)


def runs_needed(hypotheses: int) -> int:
    """Return how many runs a side let the rank test reject so many hypotheses."""
    return next(
        runs
        for runs in itertools.count(1)
        if smallest_p(runs, runs) <= pair_tests.LEVEL / hypotheses
    )


def _rank_test(larger: np.ndarray, smaller: np.ndarray) -> float:
    return float(stats.mannwhitneyu(larger, smaller, alternative="greater", method="exact").pvalue)


def _estimate(base: np.ndarray, head: np.ndarray, *, margin: float, hypotheses: int) -> Estimate:
    """Ratio of geometric means, Welch's interval, and the smallest slowdown that would show."""
    ratio = math.exp(float(head.mean() - base.mean()))
    if min(len(base), len(head)) == 1:  # which has no spread
        return Estimate(ratio=ratio)
    welch = stats.ttest_ind(head, base, equal_var=False)
    interval = welch.confidence_interval(CONFIDENCE)
    error = math.sqrt(head.var(ddof=1) / len(head) + base.var(ddof=1) / len(base))
    reach = float(np.sum(stats.t.ppf([1 - pair_tests.LEVEL / hypotheses, POWER], welch.df)))
    return Estimate(
        ratio=ratio,
        low=math.exp(interval.low),
        high=math.exp(interval.high),
        detectable=math.expm1(math.log1p(margin) + error * reach),
    )
