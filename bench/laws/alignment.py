"""Whether two batch sizes cost the same per sample: equal within a margin, different, or undecided.

In a larger batch more samples share a step's overhead. The part that the law o + c B explains is
divided out first. "Not significantly different" would be no answer: a short or noisy measurement
never finds a difference. Two one-sided tests (Schuirmann 1987) ask for evidence that there is none.
Processes are the replicates, since a process keeps the memory that the machine gave it.

A control, a size compared with itself, shows whether the measurement can be trusted. What is timed
for an engine does not depend on which of its pairs are asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from scipy import stats

from bench.cases import EQUAL_WITHIN
from bench.laws import laws
from bench.laws.laws import LawError
from bench.measure.step_time import Subject
from bench.measure.turns import Ratio

CONFIDENCE = 0.9  # two one-sided tests at 5 % use an interval of 90 %
CONTROL_SIZE = 128
CONTROL_WITHIN = 0.01  # largest error of the control's ratio, 1, at which pairs are judged
LAW_SIZES = (4, 16, 64)  # timed in addition to the pairs, to fit the overhead

Turns = Sequence[Sequence[float]]  # process -> seconds per step of its turn in each round


@dataclass(frozen=True, kw_only=True)
class Likeness(Ratio):
    """The ratio of two batch sizes' seconds per sample, without the overhead."""

    overhead_ratio: float  # the ratio that overhead explains
    # "equal", "different" or "undecided"; "control failed" or "no overhead law": no verdict
    verdict: str


def subjects(engine: str, pairs: Iterable[tuple[int, int]], samples: int) -> list[Subject]:
    """Return what to time of an engine, so that each pair of batch sizes can be judged.

    No batch size is larger than `samples`, the size of the training set.
    """
    sizes = {min(size, samples) for size in (CONTROL_SIZE, *LAW_SIZES, *chain(*pairs))}
    return [
        *(Subject(engine=engine, batch_size=size) for size in sorted(sizes)),
        Subject(engine=engine, batch_size=min(CONTROL_SIZE, samples), copy=1),
    ]


def compare(timed: Mapping[Subject, Turns], size: int, beside: int) -> Likeness:
    """Compare a batch size with another; the control compares a size with itself.

    Args:
        timed: the subjects of one engine, in two processes or more.
        size: the size in question.
        beside: the size that it is compared with.

    """
    by_size = {subject.batch_size: turns for subject, turns in timed.items() if not subject.copy}
    (twin,) = (subject for subject in timed if subject.copy)
    control = _likeness(timed[twin], by_size[twin.batch_size])
    if abs(control.ratio - 1) > CONTROL_WITHIN or control.verdict != "equal":
        control = replace(control, verdict="control failed")
    if size == beside:
        return control
    failure = "" if control.verdict == "equal" else control.verdict
    overhead_ratio = 1.0
    try:
        law = laws.fit_step_time({each: _median(turns) for each, turns in by_size.items()})
        overhead_ratio = law.seconds(size) / size / (law.seconds(beside) / beside)
    except LawError:
        failure = failure or "no overhead law"
    likeness = _likeness(by_size[size], by_size[beside], size / beside, overhead_ratio)
    return replace(likeness, verdict=failure) if failure else likeness


def _median(turns: Turns) -> float:
    return float(np.median([np.median(of_process) for of_process in turns]))


def _likeness(
    turns: Turns, beside: Turns, samples_ratio: float = 1.0, overhead_ratio: float = 1.0
) -> Likeness:
    # Turns of one round are a moment apart: what disturbs both does not change their ratio.
    logs = np.array(
        [
            np.median(np.log(np.divide(ours, theirs) / (samples_ratio * overhead_ratio)))
            for ours, theirs in zip(turns, beside, strict=True)
        ]
    )
    reach = stats.sem(logs) * stats.t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1)
    low, ratio, high = map(float, np.exp(logs.mean() + reach * np.array([-1, 0, 1])))
    smallest, largest = 1 / (1 + EQUAL_WITHIN), 1 + EQUAL_WITHIN
    verdict = "undecided"
    if smallest < low and high < largest:
        verdict = "equal"
    elif high < smallest or largest < low:
        verdict = "different"
    return Likeness(ratio=ratio, low=low, high=high, overhead_ratio=overhead_ratio, verdict=verdict)
