"""Whether two batch sizes cost the same a sample: equal within a margin, different, or undecided.

"Not significantly different" would be no answer: a short or noisy measurement never finds a
difference. Two one-sided tests (Schuirmann 1987) ask for evidence that there is none.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.instruments.ratio import Ratio, paired

CONFIDENCE = 0.9  # of the interval that two one-sided tests at 5 % make


@dataclass(frozen=True, kw_only=True)
class Likeness(Ratio):
    """How the seconds a sample of one batch size stand to another's."""

    verdict: str  # "equal", "different" or "undecided"


def compare(seconds: Sequence[float], beside: Sequence[float], *, margin: float) -> Likeness:
    """Judge paired turns, seconds a sample of a size and of the one beside it."""
    found = paired(seconds, beside, confidence=CONFIDENCE)
    verdict = "undecided"
    if 1 / (1 + margin) < found.low and found.high < 1 + margin:
        verdict = "equal"
    elif found.high < 1 / (1 + margin) or 1 + margin < found.low:
        verdict = "different"
    return Likeness(**asdict(found), verdict=verdict)
