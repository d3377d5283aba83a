"""The gate's verdicts from saved pytest-benchmark files, one or more a side.

The replicate is the file, never the round: rounds of one run share its minute and its process.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from bench.gate import IncomparableError, UsageError, pair_tests, verdict
from bench.gate.pair_tests import CONFIDENCE, POWER, Estimate
from bench.gate.result import Result
from bench.gate.verdict import Evidence, Judgement, Verdict
from bench.runs import UserError, files
from bench.runs.files import SavedRun

OPTIONS = (
    *("data", "device", "threads", "precision"),
    *("learning_rate", "lr_rule", "target_score", "max_epochs"),
)


def compare(base_files: Sequence[Path], head_files: Sequence[Path], *, margin: float) -> Result:
    """Judge the runs of the head's files against those of the base's."""
    base, head = _read(base_files), _read(head_files)
    check_comparable(base, head)
    judgements, seconds = judge(base, head, margin=margin)
    return Result(
        base=f"{len(base)} saved runs",
        head=f"{len(head)} saved runs",
        margin=margin,
        took_seconds=None,
        setting=base[0].machine,
        evidence=Evidence(screen={}, confirm={}, seconds=seconds),
        judgements=judgements,
    )


def _read(given: Sequence[Path]) -> list[SavedRun]:
    try:
        return [files.read(file) for file in given]
    except UserError as error:
        raise UsageError(str(error)) from error


def check_comparable(base: Sequence[SavedRun], head: Sequence[SavedRun]) -> None:
    """Refuse runs of different machines, versions or options, and one run given twice."""
    first, *others = [*base, *head]
    for run in others:
        if run.when in {other.when for other in [*base, *head] if other is not run}:
            raise IncomparableError(f"{run.file} is a run that is given twice")
        differences = [
            f"{key} ({first.machine[key]} and {run.machine[key]})"
            for key in first.machine
            if run.machine[key] != first.machine[key]
        ]
        differences += [
            f"{key} of {name} ({getattr(one, key)} and {getattr(other, key)})"
            for name in sorted(first.by_name.keys() & run.by_name.keys())
            for one, other in [(first.by_name[name], run.by_name[name])]
            for key in OPTIONS
            if getattr(one, key) != getattr(other, key)
        ]
        if differences:
            raise IncomparableError(
                f"{first.file} and {run.file} differ in {differences[0]}"
                + (f" and {len(differences) - 1} more" if len(differences) > 1 else "")
            )


def judge(
    base: Sequence[SavedRun], head: Sequence[SavedRun], *, margin: float
) -> tuple[dict[str, Judgement], dict[str, list[list[float]]]]:
    """One judgement for every case and family, and the seconds that each case's rests on."""
    judgements: dict[str, Judgement] = {}
    seconds: dict[str, list[list[float]]] = {}
    for name in dict.fromkeys(name for run in [*head, *base] for name in run.by_name):
        reason = _cannot_compare(name, base, head)
        if reason:
            judgements[name] = Judgement(name=name, verdict=Verdict.INCOMPARABLE, reason=reason)
        else:
            seconds[name] = [[run.by_name[name].seconds for run in runs] for runs in (base, head)]
    logs = {name: (np.log(ours), np.log(theirs)) for name, (ours, theirs) in seconds.items()}
    families = {name: _family(name, head[0]) for name in logs}
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


def _cannot_compare(name: str, base: Sequence[SavedRun], head: Sequence[SavedRun]) -> str:
    """Return why a case cannot be compared; empty where it can."""
    for run in [*base, *head]:
        if name not in run.by_name:
            return f"missing in {run.file.name}"
    missed = [sum(not run.by_name[name].reached for run in runs) for runs in (base, head)]
    if any(missed):
        return (
            f"target not reached in {missed[0]} of {len(base)} base runs and {missed[1]} of "
            f"{len(head)} head runs"
        )
    if any(_peaks(name, base)) and not all(_peaks(name, head)):
        return "head no longer stores peak_memory_bytes"
    return ""


def _peaks(name: str, runs: Sequence[SavedRun]) -> list[int]:
    """Peak memory in bytes, a value per run; 0 where a run stores none."""
    return [run.by_name[name].peak_memory_bytes for run in runs]


def _family(name: str, run: SavedRun) -> str:
    case = run.by_name[name]
    return f"{case.verb}[engine={case.engine}]" if case.engine else name.partition("[")[0]


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
