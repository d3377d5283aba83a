"""From paired times to verdicts: numbers in, verdicts out.

The unit of every statistic is a pair: the median log ratio, over their turns, of two fresh
processes. A pair here comes with its control, the same of a second process of the base itself.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache

import numpy as np
from scipy import stats

from bench.cases import Case

MARGIN = 0.05
LEVEL = 0.01
CONFIDENCE = 0.95
SCREENING_PAIRS = 3
BLIND_SLOWDOWN = 0.30
BLIND = f"blind: noise hides slowdowns of {BLIND_SLOWDOWN:.0%}"
POWER = 0.95  # of the smallest slowdown that is said to be catchable
MEMORY_GROWTH = 0.10
MEMORY_GROWTH_BYTES = 4 * 2**20
LOSS_TOLERANCE = 1e-4  # relative; rounding moves a loss of the first steps by about 1e-6


class Verdict(StrEnum):
    """What is said of a case; silence is never ok."""

    OK = "ok"
    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    INCONCLUSIVE = "inconclusive"
    INCOMPARABLE = "incomparable"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Log ratios to the base in one set of fresh processes."""

    head: float
    control: float  # a second process of the base


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is said of a case or a family, and what it rests on."""

    name: str
    verdict: Verdict
    ratio: float | None = None  # head's time over base's
    low: float | None = None  # of its 95 % interval
    high: float | None = None
    detectable: float | None = None  # smallest slowdown that would have been caught, a share
    p_value: float | None = None  # of "at most 1 + margin", where it was confirmed or not
    pairs: int = 0
    reason: str = ""


Pairs = Mapping[str, Sequence[Pair]]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a gate measured, by case or family."""

    screen: Pairs  # decided what was routed on, and decides nothing else
    confirm: Pairs  # fresh pairs of what was routed on
    restless: bool = False  # identical code was convicted: speed says nothing
    # Base's and head's: a unit's seconds, a pair each; peak bytes, the same; the first losses.
    seconds: Mapping[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    peaks: Mapping[str, tuple[list[int], list[int]]] = field(default_factory=dict)
    losses: Mapping[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)  # cases without a pair, and why


def log_ratio(base_seconds: Sequence[float], other_seconds: Sequence[float]) -> float:
    """A pair: the median, over turns taken together, of the logarithm of other over base."""
    return float(np.median(np.log(other_seconds) - np.log(base_seconds)))


def with_families(pairs: Pairs, cases: Sequence[Case]) -> dict[str, list[Pair]]:
    """Add each family of two or more cases: their geometric mean, pair by pair.

    Only families whose every measured case is in `pairs` are complete, and are added.
    """
    members = defaultdict(list)
    for case in cases:
        members[case.family].append(case.name)
    everything = {name: list(pairs[name]) for name in pairs}
    for family, names in members.items():
        if len(names) > 1 and all(name in pairs for name in names):
            everything[family] = [
                Pair(
                    head=float(np.mean([pair.head for pair in together])),
                    control=float(np.mean([pair.control for pair in together])),
                )
                for together in zip(*(pairs[name] for name in names), strict=False)
            ]
    return everything


def routed(screen: Pairs, *, margin: float) -> list[str]:
    """What goes on: by the median of its pairs, or its control's, beyond half the margin."""
    threshold = math.log1p(margin) / 2
    return [
        name
        for name, pairs in screen.items()
        if abs(np.median([pair.head for pair in pairs])) > threshold
        or abs(np.median([pair.control for pair in pairs])) > threshold
    ]


@cache
def pairs_needed(hypotheses: int) -> int:
    """Pairs with which the test of each of so many hypotheses can reject, one pair contrary."""
    pairs = 2
    while stats.binom.sf(pairs - 2, pairs, 0.5) > LEVEL / hypotheses:
        pairs += 1
    return pairs


@cache
def contrary_allowed(pairs: int) -> int:
    """The most contrary pairs of so many with which the test could still reject at the level."""
    return int(stats.binom.ppf(LEVEL, pairs, 0.5)) - 1


def sign_test(log_ratios: Sequence[float], *, margin: float) -> float:
    """P value of "the ratio is at most 1 + margin": exact, whatever the distribution."""
    above = sum(value > math.log1p(margin) for value in log_ratios)
    return float(stats.binom.sf(above - 1, len(log_ratios), 0.5))


def is_open(pairs: Sequence[Pair], *, margin: float, needed: int) -> bool:
    """Whether a test on `needed` pairs could still reject, on any side, for head or control.

    Stopping where none can changes no verdict: a test that cannot reject would not have.
    """
    threshold, allowed = math.log1p(margin), contrary_allowed(needed)
    sides = (
        [sign * value for value in values]
        for values in ([pair.head for pair in pairs], [pair.control for pair in pairs])
        for sign in (1, -1)
    )
    return any(sum(value <= threshold for value in side) <= allowed for side in sides)


def holm(p_values: Mapping[str, float]) -> set[str]:
    """The hypotheses that Holm's step-down procedure rejects at the level (Holm 1979)."""
    rejected: set[str] = set()
    for name in sorted(p_values, key=p_values.__getitem__):
        if p_values[name] > LEVEL / (len(p_values) - len(rejected)):
            break
        rejected.add(name)
    return rejected


def sign_tests(
    confirm: Pairs, log_ratio_of: Callable[[Pair], float], *, margin: float
) -> dict[str, float]:
    """The P value of each hypothesis, of the head or the control, in either direction."""
    return {
        name: sign_test([log_ratio_of(pair) for pair in pairs], margin=margin)
        for name, pairs in confirm.items()
    }


def is_restless(confirm: Pairs, *, margin: float) -> bool:
    """Whether the very test that would convict the head convicts a second copy of the base."""
    slower = sign_tests(confirm, lambda pair: pair.control, margin=margin)
    faster = sign_tests(confirm, lambda pair: -pair.control, margin=margin)
    return bool(holm(slower) or holm(faster))


def judge(
    evidence: Evidence, *, margin: float, allow_learning_change: bool = False
) -> dict[str, Judgement]:
    """One judgement for every case and family that was screened, or failed.

    A slowdown up to `margin` is nobody's business: 0.05 is 5 %.
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
    slower = sign_tests(evidence.confirm, lambda pair: pair.head, margin=margin)
    faster = sign_tests(evidence.confirm, lambda pair: -pair.head, margin=margin)
    regressed, improved = holm(slower), holm(faster)
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
    """What rejected hypotheses say of a case, and why where they say nothing."""
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
    pairs = pairs_needed(1)
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
