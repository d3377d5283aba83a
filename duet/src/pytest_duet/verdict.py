"""From pairs to verdicts: numbers in, verdicts out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from pytest_duet import pair_tests
from pytest_duet.pair_tests import Estimate, Pair, Pairs

SCREENING_PAIRS = 3
MOST_PAIRS = 20  # of a confirmation: more would not end
MEMORY_GROWTH = 0.10
MEMORY_GROWTH_BYTES = 4 * 2**20
LOSS_TOLERANCE = 1e-4  # relative; rounding moves a loss of the first steps by about 1e-6
NOISY = "noisy machine: two copies of the base differ"
TIME_OVER = "the minutes were over"


class Verdict(StrEnum):
    """The verdict on a case; a case without an answer is never ok."""

    OK = "ok"
    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    INCONCLUSIVE = "inconclusive"
    INCOMPARABLE = "incomparable"
    LEFT_OUT = "left out"  # by both versions alike, or too long to take turns
    NOT_JUDGED = "not judged"  # within the minutes that there were


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdict on a case or a family, with the numbers behind it."""

    name: str
    verdict: Verdict
    estimate: Estimate = field(default_factory=Estimate)
    p_value: float | None = None  # of "at most 1 + margin", where it was confirmed or not
    pairs: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a gate measured, by case or family; of base, control and head, in this order."""

    screen: Pairs  # decided what was confirmed, and decides nothing else
    confirm: Pairs  # fresh pairs of that
    is_noisy: bool = False  # two copies of the base differed: speed cannot be judged
    # Per version, a value per pair: seconds per unit.
    seconds: dict[str, list[list[float]]] = field(default_factory=dict)
    peak_bytes: dict[str, list[list[int]]] = field(default_factory=dict)  # per pair and version
    losses: dict[str, list[list[float]]] = field(default_factory=dict)  # per version and step
    failures: dict[str, str] = field(default_factory=dict)  # cases without a pair, and why
    left_out: dict[str, str] = field(default_factory=dict)
    cut_short: dict[str, str] = field(default_factory=dict)  # cases left out after a first pair
    not_judged: dict[str, str] = field(default_factory=dict)


def is_settled(screened: Sequence[Pair], *, margin: float) -> bool:
    """Whether a case is ok by its screen: close to the base, and so is the control.

    Close is a median within half the margin, with an interval that ends below twice the margin.
    """
    head, control = (
        abs(np.median([getattr(pair, side) for pair in screened])) for side in ("head", "control")
    )
    found = pair_tests.estimate(screened, [], margin=margin, hypotheses=1)
    return max(head, control) <= math.log1p(margin) / 2 and is_not_slower(found, margin=margin)


def is_not_slower(found: Estimate, *, margin: float) -> bool:
    """Whether the interval ends below twice the margin, which a single margin cannot reach."""
    return found.high is not None and found.high < 1 + 2 * margin


def is_undecided(
    screened: Sequence[Pair], confirmed: Sequence[Pair], *, margin: float, hypotheses: int
) -> bool:
    """Whether a case that is confirmed needs another pair."""
    needed = pair_tests.pairs_needed(hypotheses)
    if not confirmed or pair_tests.is_open(confirmed, margin=margin, needed=needed):
        return True
    p_values = (
        pair_tests.sign_test(side[:needed], margin=margin) for side in pair_tests.sides(confirmed)
    )
    found = pair_tests.estimate(screened, confirmed, margin=margin, hypotheses=hypotheses)
    return (
        len(confirmed) < MOST_PAIRS
        and min(p_values) > pair_tests.LEVEL / hypotheses
        and not is_not_slower(found, margin=margin)
    )


def judge(
    evidence: Evidence, *, margin: float, allow_learning_change: bool = False
) -> dict[str, Judgement]:
    """One judgement for every case and family that was screened, failed or was left out.

    A slowdown up to `margin` passes: 0.05 is 5 %.
    """
    judgements = _judge_speed(evidence, margin=margin)
    for name, speed in judgements.items():
        step = None if allow_learning_change else _learning_change(evidence.losses.get(name, ()))
        if step is not None:
            reason = f"no longer learns the same: the loss of step {step} differs"
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
    estimates, pairs = {}, {}
    for name, screened in evidence.screen.items():
        confirmed = evidence.confirm.get(name, [])
        hypotheses = len(evidence.confirm) + (name not in evidence.confirm)
        estimates[name] = pair_tests.estimate(
            screened, confirmed, margin=margin, hypotheses=hypotheses
        )
        pairs[name] = len(confirmed or screened)
    slower = pair_tests.sign_tests(evidence.confirm, lambda pair: pair.head, margin=margin)
    faster = pair_tests.sign_tests(evidence.confirm, lambda pair: -pair.head, margin=margin)
    judgements = of_tests(slower, faster, estimates, pairs, margin=margin)
    return inconclusive(judgements, NOISY) if evidence.is_noisy else judgements


def of_tests(
    slower: Mapping[str, float],
    faster: Mapping[str, float],
    estimates: Mapping[str, Estimate],
    pairs: Mapping[str, int],
    *,
    margin: float,
) -> dict[str, Judgement]:
    """Judge each case and family by its interval, and by the P values of its tests, if it has any.

    `slower` tests "at most 1 + margin times as long", `faster` the same with the sides exchanged.
    """
    regressed, improved = pair_tests.holm(slower), pair_tests.holm(faster)
    judgements = {}
    for name, found in estimates.items():
        reason = ""
        if name in regressed:
            verdict = Verdict.REGRESSION
        elif name in improved:
            verdict = Verdict.IMPROVEMENT
        elif is_not_slower(found, margin=margin):
            verdict = Verdict.OK
        else:
            verdict = Verdict.INCONCLUSIVE
            hidden = "any slowdown" if found.high is None else f"a slowdown of {found.high - 1:.0%}"
            reason = f"noise could hide {hidden}"
        judgements[name] = Judgement(
            name=name,
            verdict=verdict,
            reason=reason,
            estimate=found,
            p_value=slower.get(name),
            pairs=pairs[name],
        )
    return judgements


def inconclusive(judgements: Mapping[str, Judgement], reason: str) -> dict[str, Judgement]:
    """Say of everything that it cannot be judged, and why; keep the numbers."""
    return {
        name: replace(judgement, verdict=Verdict.INCONCLUSIVE, reason=reason)
        for name, judgement in judgements.items()
    }


def memory_growth(peak_bytes: Sequence[Sequence[int]]) -> str:
    """Say how far peak memory grew, if by more than 10 % and more than 4 MiB in every pair.

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
    """The first step whose loss is no longer the base's; None where the base itself varies."""
    if not losses:
        return None
    base, control, head = losses
    if first_loss_that_differs(base, control) is not None:
        return None
    return first_loss_that_differs(base, head)


def first_loss_that_differs(base: Sequence[float], head: Sequence[float]) -> int | None:
    """The first step, from 1, whose losses differ by more than rounding; None if none does."""
    if len(base) != len(head):
        return min(len(base), len(head)) + 1
    agree = np.isclose(base, head, rtol=LOSS_TOLERANCE, atol=0, equal_nan=True)
    return None if agree.all() else int(np.argmin(agree)) + 1
