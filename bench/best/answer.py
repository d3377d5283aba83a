"""Writes the results of a search: sentences, a table, a figure and a file."""

import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pytest_benchmark.utils import get_commit_info

from bench.best import figure, prediction
from bench.best.findings import Findings, Seeds
from bench.best.reference import FreshTrainings, Reference, TunedRate
from bench.best.trial import TEST
from bench.laws.time_to_target import WITHIN, TimeToTarget
from bench.units import counted, estimate, is_known, listed, megabytes, seconds, table, wrapped
from mnist_mlp import atomic

RUNS = 5  # the first sentence gives the interval of the median of so many trainings
MOST_SEEDS = 50  # the answer proposes no more


def lines(findings: Findings) -> list[str]:
    """Lay out the answer, the most useful first."""
    times = findings.times()
    sentences = [
        *(_answer(findings, times) if times else _unreached(findings)),
        *(_doubts(findings, times) if times else ()),
        *_left_out(findings),
    ]
    first, *others = [wrapped(sentence) for sentence in sentences]
    return [*first, *_table(findings, times), *(line for part in others for line in part)]


def _answer(findings: Findings, times: TimeToTarget) -> Iterator[str]:
    task, best = findings.task, times.best
    low_high = times.median_of_runs(best, RUNS)
    _, rate = findings.choice(best)
    yield (
        f"Batch size {best} at rate {rate:.3g} trains fastest to a {task.score_name} of "
        f"{task.target:g}, in {seconds(times.seconds[best].value)}. The median of {RUNS} more "
        f"trainings will probably (95 %) lie between {seconds(low_high.low)} and "
        f"{seconds(low_high.high)}. {_own(findings, times)}"
    )
    if not findings.is_fresh(best):
        yield (
            "These times are from trainings that chose the rate, judged on a part of the training "
            "set: no fresh seeds were trained. Repeat the command to continue."
        )
    yield prediction.plateau(times)


def _own(findings: Findings, times: TimeToTarget) -> str:
    """Compare the user's own batch size and rate with the best."""
    (size, rate), own = findings.own, findings.own_time()
    if findings.own == findings.choice(times.best):
        return "That is what you train with today."
    if own:
        ratio = own.ratio_of_best(times)
        if is_known(ratio):
            return f"Your batch size {size} at rate {rate:g} takes {estimate(ratio)} times as long."
        return (
            f"How long your batch size {size} at rate {rate:g} takes cannot be told from this run."
        )
    if trained := findings.fresh.get(findings.own):
        diverged = any(each.diverged for each in trained.values())
        return (
            f"Your batch size {size} at rate {rate:g} did not reach the target: it came to "
            f"{_came_to(findings, size, trained)}." + " Its loss was not finite." * diverged
        )
    return f"Your batch size {size} at rate {rate:g} was not trained."


def _came_to(findings: Findings, size: int, trained: Seeds) -> str:
    """Say which score trainings at a batch size ended with, and after how long."""
    score = max(each.score for each in trained.values())
    steps = max(each.steps for each in trained.values())
    return f"{score:.3f} after {seconds(steps * findings.step_seconds[size])}"


def _unreached(findings: Findings) -> Iterator[str]:
    task = findings.task
    closest = max(findings.tuned, key=lambda size: findings.tuned[size].best_score)
    yield (
        f"No batch size reached a {task.score_name} of {task.target:g} in "
        f"{counted(findings.max_epochs, 'epoch')}. Batch size {closest} came closest, "
        f"at {findings.tuned[closest].best_score:.3f}. Allow more with --max-epochs, or set a "
        "lower target."
    )


def _table(findings: Findings, times: TimeToTarget | None) -> list[str]:
    rows = [
        [
            "batch size",
            "rate",
            "seeds",
            "steps",
            "one step",
            "to target (95 %)",
            "times the best",
            "memory",
        ]
    ]
    for size in sorted(findings.tuned):
        _, rate = findings.choice(size)
        is_known = times is not None and size in times.batch_sizes
        rows.append(
            [
                str(size),
                f"{rate:.3g}",
                f"{len(findings.seeds(size))}{' ' if findings.is_fresh(size) else '*'}",
                *(_known(times, size) if times and is_known else _missed(findings, size)),
                megabytes(findings.fitting.peak_bytes[size])
                if size in findings.fitting.peak_bytes
                else "-",
            ]
        )
    title = f"{findings.engine} engine, {counted(findings.threads, 'thread')}"
    if not all(map(findings.is_fresh, findings.tuned)):
        title += "; * seeds that chose the rate, judged on a part of the training set"
    return table(title, [list(column) for column in zip(*rows, strict=True)])


def _known(times: TimeToTarget, size: int) -> list[str]:
    place = times.batch_sizes.index(size)
    return [
        f"{times.steps[place]:,.0f}",
        seconds(float(times.step_seconds[place])),
        estimate(times.seconds[size], seconds),
        prediction.times_the_best(times, size),
    ]


def _missed(findings: Findings, size: int) -> list[str]:
    trained, step = findings.seeds(size), seconds(findings.step_seconds[size])
    is_capped = any(each.is_capped for each in trained.values())
    why = "ended as too slow" if is_capped else "not reached"
    return ["-", step, f"{why}: {_came_to(findings, size, trained)}", "-"]


def _doubts(findings: Findings, times: TimeToTarget) -> Iterator[str]:
    """Say what remains open, and what usual choices cost."""
    unsure = [
        size
        for size in times.batch_sizes
        if size != times.best and times.is_on_plateau(size) is None and findings.is_fresh(size)
    ]
    seeds = max((_seeds_to_tell(findings, times, size) for size in unsure), default=0)
    if len(findings.seeds(times.best)) < seeds <= MOST_SEEDS:
        spent = seeds * sum(times.seconds[size].value for size in (times.best, *unsure))
        yield (
            f"--seeds={seeds} would probably decide about {listed(unsure)}, with some "
            f"{seconds(spent)} of training."
        )
    if untried := findings.known().open_sizes() if not findings.is_complete else []:
        yield (
            f"Not trained, though it may be faster: {listed(sorted(untried))}. Repeat the command "
            "to continue."
        )
    edges = [
        size
        for size in findings.tuned
        if len(findings.tuned[size].outcomes) > 1
        and not findings.tuned[size].is_interior
        and size in times.batch_sizes
    ]
    if edges:
        yield (
            f"At {listed(sorted(edges))}, not all rates next to the best were tried, so a better "
            "rate may be missed."
        )
    if costs := _usual_choices(findings, times):
        yield costs


def _seeds_to_tell(findings: Findings, times: TimeToTarget, size: int) -> int:
    """Estimate how many seeds it takes to tell whether a size is within a tenth of the best.

    An interval shrinks with the square root of the number of seeds, until it leaves out 1.1.
    """
    ratio = times.ratios[size]
    half = math.log(ratio.high / ratio.low) / 2
    distance = abs(math.log(ratio.value / (1 + WITHIN)))
    return math.ceil(len(findings.seeds(size)) * (half / max(distance, half / MOST_SEEDS)) ** 2)


def _usual_choices(findings: Findings, times: TimeToTarget) -> str:
    """Say what usual batch sizes cost at rates that suit them; bound that of untrained sizes."""
    known, best, untrained = findings.known(), times.seconds[times.best].value, {}
    for size in findings.step_seconds.keys() - set(times.batch_sizes):
        steps = known.fewest_steps(size) * findings.test_ratio
        bound = steps * findings.step_seconds[size] / best
        state = "(missed the target)" if size in findings.tuned else "(not trained)"
        untrained[size] = f"at least {bound:.2g} {state}" if bound > 1 else state
    return prediction.usual_choices(times, len(findings.task.train), untrained)


def _left_out(findings: Findings) -> Iterator[str]:
    for size, reason in findings.fitting.left_out.items():
        yield f"Batch size {size} is left out: {reason}."


def write(findings: Findings, *, figure_file: Path | None, json_file: Path | None) -> None:
    """Draw the times to the target, and save the results, if the user asks for it."""
    times, own, task = findings.times(), findings.own_time(), findings.task
    if figure_file:
        curves = {findings.engine: times.seconds} if times else {}
        marks = (
            [("what you train with", findings.own[0], own.seconds[own.best].value)] if own else []
        )
        figure.draw(figure_file, "engine", curves, marks, goal=f"{task.score_name} {task.target:g}")
    if json_file:
        results = as_reference(findings).model_dump(mode="json")
        results["answers"] = {findings.engine: prediction.as_json(times)} if times else {}
        atomic.write({json_file: json.dumps(results, indent=1).encode()})


def as_reference(findings: Findings) -> Reference:
    """Return the results in the form of the package's own study."""
    target = findings.task.target
    study = {
        "data": findings.task.name,
        "commit": str(get_commit_info()["id"]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m bench", *sys.argv[1:]]),
    }
    tuned = [
        TunedRate(batch_size=size, learning_rate=findings.choice(size)[1])
        for size in sorted(findings.tuned)
    ]
    fresh = [
        FreshTrainings(
            judged_on=TEST,
            batch_size=size,
            learning_rate=rate,
            seeds=list(seeds),
            bounds={
                target: [(out.below, out.steps if out.reached else None) for out in seeds.values()]
            },
        )
        for (size, rate), seeds in findings.fresh.items()
    ]
    return Reference(study=study, tuned={target: tuned}, fresh=fresh)
