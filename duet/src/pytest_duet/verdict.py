"""From pairs to verdicts: numbers in, verdicts out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from pytest_duet import pair_tests
from pytest_duet.pair_tests import Estimate, Pair, Pairs

SCREENING_PAIRS = 3
MOST_PAIRS = 20  # limit of a confirmation, unless its test needs more
MEMORY_GROWTH = 0.10
MEMORY_GROWTH_BYTES = 4 * 2**20
LOSS_TOLERANCE = 1e-4  # relative difference; rounding changes early losses by about 1e-6
NOISY = "noisy machine: two copies of the base differ"
TIME_OVER = "--minutes ran out"


class Verdict(StrEnum):
    """The verdict on a case or family; a case without an answer is never ok."""

    OK = "ok"
    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    INCONCLUSIVE = "inconclusive"
    INCOMPARABLE = "incomparable"
    LEFT_OUT = "left out"  # skipped in both versions, or too long to take turns
    NOT_JUDGED = "not judged"  # --minutes ran out first


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdict on a case or a family, with the numbers behind it."""

    name: str
    verdict: Verdict
    estimate: Estimate = field(default_factory=Estimate)
    p_value: float | None = None  # P value of "the ratio is at most 1 + margin"
    pairs: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a gate measured, by case or family; versions are base, control and head, in order."""

    screen: Pairs
    confirm: Pairs  # fresh pairs of what the screen left open
    is_noisy: bool = False  # two copies of the base differed: speed cannot be judged
    # Seconds are those of one unit.
    seconds: dict[str, list[list[float]]] = field(default_factory=dict)  # [version][pair]
    peak_bytes: dict[str, list[list[int]]] = field(default_factory=dict)  # [pair][version]
    losses: dict[str, list[list[float]]] = field(default_factory=dict)  # [version][step]
    # The reason of each case.
    failures: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    cut_short: dict[str, str] = field(default_factory=dict)  # left out after a first pair
    not_judged: dict[str, str] = field(default_factory=dict)


def is_settled(screened: Sequence[Pair], *, margin: float) -> bool:
    """Whether the screen's pairs are enough to find a case ok.

    The medians of head and control are within half the margin, and the interval of the ratio ends
    below twice the margin.
    """
    head, control = (
        abs(np.median([getattr(pair, side) for pair in screened])) for side in ("head", "control")
    )
    estimate = pair_tests.estimate(screened, [], margin=margin, hypotheses=1)
    return max(head, control) <= math.log1p(margin) / 2 and is_not_slower(estimate, margin=margin)


def is_not_slower(estimate: Estimate, *, margin: float) -> bool:
    """Whether the interval ends below twice the margin."""
    return estimate.high is not None and estimate.high < 1 + 2 * margin


def is_undecided(
    screened: Sequence[Pair], confirmed: Sequence[Pair], *, margin: float, hypotheses: int
) -> bool:
    """Whether the confirmation of a case needs another pair."""
    needed = pair_tests.pairs_needed(hypotheses)
    if not confirmed or pair_tests.is_open(confirmed, margin=margin, needed=needed):
        return True
    p_values = (
        pair_tests.sign_test(side[:needed], margin=margin) for side in pair_tests.sides(confirmed)
    )
    estimate = pair_tests.estimate(screened, confirmed, margin=margin, hypotheses=hypotheses)
    return (
        len(confirmed) < MOST_PAIRS
        and min(p_values) > pair_tests.LEVEL / hypotheses
        and not is_not_slower(estimate, margin=margin)
    )


def judge(
    evidence: Evidence, *, margin: float, allow_learning_change: bool = False
) -> dict[str, Judgement]:
    """Return the judgement of every case and family that was screened, failed or was left out.

    A slowdown up to `margin` passes: 0.05 is 5 %.
    """
    judgements = _judge_speed(evidence, margin=margin)
    for name, speed in judgements.items():
        step = None if allow_learning_change else _learning_change(evidence.losses.get(name, ()))
        if step is not None:
            reason = f"the loss of step {step} differs (--allow-learning-change lets it pass)"
            judgements[name] = replace(speed, verdict=Verdict.INCOMPARABLE, reason=reason)
        elif reason := memory_growth(evidence.peak_bytes.get(name, ())):
            judgements[name] = replace(speed, verdict=Verdict.REGRESSION, reason=reason)
        elif name in evidence.cut_short and speed.verdict is not Verdict.REGRESSION:
            reason = evidence.cut_short[name]
            judgements[name] = replace(speed, verdict=Verdict.INCONCLUSIVE, reason=reason)
    for verdict, reasons in (
        (Verdict.NOT_JUDGED, evidence.not_judged),
        (Verdict.INCOMPARABLE, evidence.failures),
        (Verdict.LEFT_OUT, evidence.left_out),
    ):
        for name, reason in reasons.items():
            judgements[name] = Judgement(name=name, verdict=verdict, reason=reason)
    return judgements


def _judge_speed(evidence: Evidence, *, margin: float) -> dict[str, Judgement]:
    """Judge each case and family by its interval and, if it was confirmed, by its tests."""
    slower = pair_tests.sign_tests(evidence.confirm, lambda pair: pair.head, margin=margin)
    faster = pair_tests.sign_tests(evidence.confirm, lambda pair: -pair.head, margin=margin)
    regressed, improved = pair_tests.holm(slower), pair_tests.holm(faster)
    judgements = {}
    for name, screened in evidence.screen.items():
        confirmed = evidence.confirm.get(name, [])
        hypotheses = len(evidence.confirm) + (name not in evidence.confirm)
        estimate = pair_tests.estimate(screened, confirmed, margin=margin, hypotheses=hypotheses)
        verdict, reason = Verdict.INCONCLUSIVE, ""
        if evidence.is_noisy:
            reason = NOISY
        elif name in regressed:
            verdict = Verdict.REGRESSION
        elif name in improved:
            verdict = Verdict.IMPROVEMENT
        elif is_not_slower(estimate, margin=margin):
            verdict = Verdict.OK
        elif estimate.high is not None:
            reason = f"noise could hide a slowdown of {estimate.high - 1:.0%}"
        judgements[name] = Judgement(
            name=name,
            verdict=verdict,
            reason=reason,
            estimate=estimate,
            p_value=slower.get(name),
            pairs=len(confirmed or screened),
        )
    return judgements


def memory_growth(peak_bytes: Sequence[Sequence[int]]) -> str:
    """Describe a growth of peak memory by over 10 % and over 4 MiB in every pair; "" if none.

    `peak_bytes` holds a list per pair, the head's last.
    """
    has_grown = len(peak_bytes) >= SCREENING_PAIRS and all(
        head > max(others) * (1 + MEMORY_GROWTH) and head > max(others) + MEMORY_GROWTH_BYTES
        for *others, head in peak_bytes
    )
    if not has_grown:
        return ""
    before = max(max(others) for *others, _ in peak_bytes) / 2**20
    after = max(head for *_, head in peak_bytes) / 2**20
    return f"peak memory grew from {before:.1f} to {after:.1f} MiB"


def _learning_change(losses: Sequence[Sequence[float]]) -> int | None:
    """Return the first step whose loss differs from the base's; None if the base itself varies."""
    if not losses:
        return None
    base, control, head = losses
    if first_loss_that_differs(base, control) is not None:
        return None
    return first_loss_that_differs(base, head)


def first_loss_that_differs(base: Sequence[float], head: Sequence[float]) -> int | None:
    """Return the first step, from 1, whose losses differ by more than rounding, if any."""
    if len(base) != len(head):
        return min(len(base), len(head)) + 1
    agree = np.isclose(base, head, rtol=LOSS_TOLERANCE, atol=0, equal_nan=True)
    return None if agree.all() else int(np.argmin(agree)) + 1
