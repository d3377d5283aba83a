"""Whether two batch sizes cost the same a sample: equal within a margin, different, or undecided.

A step's overhead is shared by more samples in a larger batch. What the law o + c B explains is
taken off first. "Not significantly different" would be no answer: a short or noisy measurement
never finds a difference. Two one-sided tests (Schuirmann 1987) ask for evidence that there is none.
Processes are the replicates, since a process keeps what it got from the machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.laws import laws
from bench.laws.line import LawError
from bench.measure.ratio import Ratio
from bench.measure.step_time import Subject

CONFIDENCE = 0.9  # of the interval that two one-sided tests at 5 % make

Turns = Sequence[Sequence[float]]  # process -> seconds a step of its turn in each round


@dataclass(frozen=True, kw_only=True)
class Likeness(Ratio):
    """How the seconds a sample of one batch size stand to another's, the overhead taken off."""

    overhead_ratio: float  # what was taken off
    verdict: str  # "equal", "different" or "undecided"


def compare(
    timed: Mapping[Subject, Turns], subject: Subject, beside: Subject, *, margin: float
) -> Likeness:
    """Judge a batch size beside another one.

    Args:
        timed: of both, and of others with the engine, for its law; two processes or more.
        subject: the size in question.
        beside: the size that it is held against, with the same engine.
        margin: within which they count as equal, a share.

    """
    explained = _explained(timed, subject, beside)
    per_sample = subject.batch_size / beside.batch_size * explained
    # Turns of one round are a moment apart: what disturbs both leaves their ratio alone.
    logs = np.array(
        [
            np.median(np.log(np.divide(ours, theirs) / per_sample))
            for ours, theirs in zip(timed[subject], timed[beside], strict=True)
        ]
    )
    middle, error = float(logs.mean()), float(stats.sem(logs))
    reach = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1))
    low, high = np.exp(middle - reach), np.exp(middle + reach)
    verdict = "undecided"
    if 1 / (1 + margin) < low and high < 1 + margin:
        verdict = "equal"
    elif high < 1 / (1 + margin) or 1 + margin < low:
        verdict = "different"
    return Likeness(
        ratio=float(np.exp(middle)),
        low=float(low),
        high=float(high),
        overhead_ratio=explained,
        verdict=verdict,
    )


def _explained(timed: Mapping[Subject, Turns], subject: Subject, beside: Subject) -> float:
    """Ratio of seconds a sample by the engine's law; 1 where it has none."""
    medians = {
        one.batch_size: float(np.median([np.median(turns) for turns in of]))
        for one, of in timed.items()
        if one.engine == subject.engine
    }
    try:
        law = laws.fit_step_time(medians)
    except LawError:
        return 1.0
    return (law.seconds(subject.batch_size) / subject.batch_size) / (
        law.seconds(beside.batch_size) / beside.batch_size
    )
