"""From pairs to verdicts: numbers in, verdicts out."""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache

import numpy as np
from scipy import stats

from bench.gate import pair_tests
from bench.gate.pair_tests import Pair, Pairs

MARGIN = 0.05
CONFIDENCE = 0.95
SCREENING_PAIRS = 3
BLIND_SLOWDOWN = 0.30
BLIND = f"blind: noise hides slowdowns of {BLIND_SLOWDOWN:.0%}"
POWER = 0.95  # of finding the slowdown that is printed as "would catch"
MEMORY_GROWTH = 0.10
MEMORY_GROWTH_BYTES = 4 * 2**20
LOSS_TOLERANCE = 1e-4  # relative; rounding moves a loss of the first steps by about 1e-6


class Verdict(StrEnum):
    """The verdict on a case; a case without an answer is never ok."""

    OK = "ok"
    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    INCONCLUSIVE = "inconclusive"
    INCOMPARABLE = "incomparable"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdict on a case or a family, with the numbers behind it."""

    name: str
    verdict: Verdict
    ratio: float | None = None  # head's time over base's
    low: float | None = None  # of its 95 % interval
    high: float | None = None
    detectable: float | None = None  # smallest slowdown that would have been caught, a share
    p_value: float | None = None  # of "at most 1 + margin", where it was confirmed or not
    pairs: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a gate measured, by case or family."""

    screen: Pairs  # decided what was routed on, and decides nothing else
    confirm: Pairs  # fresh pairs of what was routed on
    restless: bool = False  # identical code differed: speed cannot be judged
    # Base's and head's: a unit's seconds, a pair each; peak bytes, the same; the first losses.
    seconds: Mapping[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    peaks: Mapping[str, tuple[list[int], list[int]]] = field(default_factory=dict)
    losses: Mapping[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)  # cases without a pair, and why


def judge(
    evidence: Evidence, *, margin: float, allow_learning_change: bool = False
) -> dict[str, Judgement]:
    """One judgement for every case and family that was screened, or failed.

    A slowdown up to `margin` passes: 0.05 is 5 %.
    """
    judgements = _judge_speed(evidence, margin=margin)
    for name, reason in evidence.failures.items():
        judgements[name] = Judgement(name=name, verdict=Verdict.INCOMPARABLE, reason=reason)
    for name, speed in judgements.items():
        if name in evidence.failures:
            continue
        reason = "" if allow_learning_change else _learning_change(name, evidence)
        if reason:
            judgements[name] = replace(speed, verdict=Verdict.INCOMPARABLE, reason=reason)
        elif name in evidence.peaks and memory_regressed(*evidence.peaks[name]):
            judgements[name] = grown(speed, *evidence.peaks[name])
    return judgements


def _judge_speed(evidence: Evidence, *, margin: float) -> dict[str, Judgement]:
    slower = pair_tests.sign_tests(evidence.confirm, lambda pair: pair.head, margin=margin)
    faster = pair_tests.sign_tests(evidence.confirm, lambda pair: -pair.head, margin=margin)
    regressed, improved = pair_tests.holm(slower), pair_tests.holm(faster)
    judgements = {}
    for name, screened in evidence.screen.items():
        confirmed = evidence.confirm.get(name, [])
        estimate = _estimate(screened, confirmed, margin=margin)
        verdict, reason = of_tests(name, regressed, improved, estimate["detectable"])
        if evidence.restless:
            verdict, reason = Verdict.INCONCLUSIVE, "restless: two copies of the base differ"
        judgements[name] = Judgement(
            name=name,
            verdict=verdict,
            reason=reason,
            p_value=slower.get(name),
            pairs=len(confirmed or screened),
            **estimate,
        )
    return judgements


def of_tests(
    name: str, regressed: AbstractSet[str], improved: AbstractSet[str], detectable: float | None
) -> tuple[Verdict, str]:
    """Return the verdict that the rejected hypotheses give a case, or why they give none."""
    if name in regressed:
        return Verdict.REGRESSION, ""
    if name in improved:
        return Verdict.IMPROVEMENT, ""
    if detectable is None or detectable > BLIND_SLOWDOWN:
        return Verdict.INCONCLUSIVE, BLIND
    return Verdict.OK, ""


def grown(judgement: Judgement, base_bytes: Sequence[int], head_bytes: Sequence[int]) -> Judgement:
    """The same case, a regression for its memory."""
    base, head = (max(peaks) / 2**20 for peaks in (base_bytes, head_bytes))
    reason = f"peak memory grew from {base:.1f} to {head:.1f} MiB"
    return replace(judgement, verdict=Verdict.REGRESSION, reason=reason)


def _learning_change(name: str, evidence: Evidence) -> str:
    if name not in evidence.losses:
        return ""
    base, head = evidence.losses[name]
    step = first_loss_that_differs(base, head)
    if step is None:
        return ""
    return f"no longer learns the same: the loss of step {step} differs"


def _estimate(
    screen: Sequence[Pair], confirm: Sequence[Pair], *, margin: float
) -> dict[str, float]:
    """Ratio, interval and smallest catchable slowdown of one case."""
    head = np.array([pair.head for pair in confirm or screen])
    spread, freedom = _spread([*screen, *confirm])
    median = float(np.median(head))
    # A median's standard error is sqrt(pi / 2) that of a mean, where pairs are normal.
    error = math.sqrt(math.pi / 2 / len(head)) * spread
    reach = error * stats.t.ppf((1 + CONFIDENCE) / 2, freedom)
    return {
        "ratio": math.exp(median),
        "low": math.exp(median - reach),
        "high": math.exp(median + reach),
        "detectable": math.expm1(math.log1p(margin) + spread * _reach_of_one_pair(freedom)),
    }


def _spread(pairs: Sequence[Pair]) -> tuple[float, int]:
    """Standard deviation of one pair's log ratio, and its degrees of freedom.

    The control's ratio is known to be one; the head's is estimated, which costs one degree.
    """
    head = np.array([pair.head for pair in pairs])
    control = np.array([pair.control for pair in pairs])
    squares = float((control**2).sum() + ((head - head.mean()) ** 2).sum())
    freedom = 2 * len(pairs) - 1
    return math.sqrt(squares / freedom), freedom


@cache
def _reach_of_one_pair(freedom: int) -> float:
    """How many spreads above the margin a ratio must lie for the confirmation to catch it.

    All but one of the pairs must lie above the margin: the chance of each is a beta quantile
    (Clopper and Pearson 1934), and its distance a t quantile.
    """
    pairs = pair_tests.pairs_needed(1)
    each = stats.beta.ppf(POWER, pairs - 1, 2)
    return float(stats.t.ppf(each, freedom))


def memory_regressed(base_bytes: Sequence[int], head_bytes: Sequence[int]) -> bool:
    """Whether peak memory grew by more than 10 % and more than 4 MiB in every fresh process."""
    return len(base_bytes) >= SCREENING_PAIRS and all(
        head > base * (1 + MEMORY_GROWTH) and head > base + MEMORY_GROWTH_BYTES
        for base, head in zip(base_bytes, head_bytes, strict=True)
    )


def first_loss_that_differs(base: Sequence[float], head: Sequence[float]) -> int | None:
    """The first step, from 1, whose losses differ by more than rounding; None if none does."""
    if len(base) != len(head):
        return min(len(base), len(head)) + 1
    agree = np.isclose(base, head, rtol=LOSS_TOLERANCE, atol=0, equal_nan=True)
    return None if agree.all() else int(np.argmin(agree)) + 1
