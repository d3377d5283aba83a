"""What a search for the best batch size found, in tables and sentences."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.table import Table

from bench.best import race
from bench.best.race import CAP, Candidate, Ending, TrialResult
from bench.laws.laws import TOLERANCE
from bench.laws.line import LawError
from bench.runs.seeds import median_over_seeds
from bench.units import listed, seconds
from mnist_mlp.learning_rate import RULES


def line(run: TrialResult, *, max_epochs: int) -> str:
    """Describe a run, of at most `max_epochs` epochs, in one line."""
    spent = f"{seconds(run.train_seconds)}, {run.steps:,} steps"
    how = {
        Ending.REACHED: "reached",
        Ending.CAPPED: f"stopped at {CAP:g} times the best, at",
        Ending.MISSED: f"stopped after {max_epochs} epochs, at",
        Ending.DIVERGED: "diverged, at",
    }
    return f"{run.trial.name}: {how[run.ending]} {run.test_accuracy:.4f} in {spent}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All that a search found."""

    options: argparse.Namespace
    samples: int  # of the training set
    runs: Sequence[TrialResult]
    confirming: Sequence[TrialResult] = ()  # of the winner, with seeds of their own
    took_seconds: float

    @cached_property
    def found(self) -> dict[str, list[Candidate]]:
        """The batch sizes that ran, by rule."""
        rules = dict.fromkeys(run.trial.lr_rule for run in self.runs)
        return {
            rule: race.candidates(run for run in self.runs if run.trial.lr_rule == rule)
            for rule in rules
        }


def report(answer: Answer) -> Iterator[Table | str]:
    """Yield a table and sentences for each rule, then sentences that compare the rules."""
    for rule in answer.found:
        yield ""
        yield table(answer.found[rule], lr_rule=rule, rate=answer.options.lr)
        yield from _of_rule(answer, rule)
    yield ""
    yield from _over_all(answer)
    yield from _confirmed(answer)
    yield _effort(answer)


def table(found: Sequence[Candidate], *, lr_rule: str, rate: float) -> Table:
    """Lay out a row for each batch size."""
    first = race.best(found)
    table = Table(title=f"{lr_rule} learning rate", title_justify="left", title_style="bold")
    for heading in ("batch size", "rate", "reached", "median", "seeds", "steps"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for one in found:
        mark = "alike" if race.overlap(one, first) else ""
        table.add_row(
            f"{one.batch_size}",
            f"{RULES[lr_rule](rate, one.batch_size):.3g}",
            f"{one.reached} of {len(one.runs)}",
            _median(one),
            _spread(one),
            _at_least(f"{median_over_seeds(run.steps for run in one.runs):,.0f}", one.is_censored),
            "best" if one is first and one.reached else mark,
        )
    return table


def _median(one: Candidate) -> str:
    if all(run.ending is Ending.DIVERGED for run in one.runs):
        return "diverged"
    return _at_least(seconds(one.spent_seconds), one.is_censored)


def _spread(one: Candidate) -> str:
    ordered = sorted(one.runs, key=lambda run: (run.seconds_to_target, run.train_seconds))
    ends = [ordered[0], ordered[-1]] if len(ordered) > 1 else []
    return " to ".join(_at_least(seconds(run.train_seconds), not run.reached) for run in ends)


def _at_least(text: str, censored: bool) -> str:  # noqa: FBT001 - what makes the difference
    return f"> {text}" if censored else text


def _of_rule(answer: Answer, rule: str) -> Iterator[str]:
    """Yield the fastest size, those like it, the prediction, and the cost of the rule of thumb."""
    found, target = answer.found[rule], f"test accuracy {answer.options.target_accuracy:g}"
    first = race.best(found)
    if not first.reached:
        nearest = f"{first.batch_size} came nearest, with {first.test_accuracy:.4f}"
        yield f"No batch size reached {target}: {nearest}."
        return
    yield f"Batch size {first.batch_size} is fastest: {_median(first)} to {target}."
    if others := [one.batch_size for one in found if race.overlap(one, first)]:
        yield f"Its seeds overlap with those of {listed(others)}: which is faster is not known."
    if len(first.runs) == 1:
        yield "It ran with one seed, so how far seeds differ is not known."
    if rule != "fixed":  # whose steps follow another law
        yield _predicted(answer.runs, rule)
    yield from _thumb(found, answer.samples)


def _predicted(runs: Sequence[TrialResult], rule: str) -> str:
    """Return the batch size that the laws predict."""
    try:
        predicted = race.predict(runs, rule)
    except LawError as error:
        return f"No prediction: {error}."
    size, misfit = predicted.batch_size, predicted.largest_misfit
    off = f", which are off by up to {misfit:.0%}," if misfit > TOLERANCE else ""
    return (
        f"The laws of step time and of steps to target{off} predict {size.value:,.0f} "
        f"({size.low:,.0f} to {size.high:,.0f})."
    )


def _thumb(found: Sequence[Candidate], samples: int) -> Iterator[str]:
    """Yield what the rule of thumb costs, where its size ran."""
    first, picked = race.best(found), race.rule_of_thumb(samples)
    thumb = f"The rule of thumb, the power of two nearest to sqrt({samples}), picks"
    for one in found:
        if one is first and one.batch_size == picked:
            yield f"{thumb} it, too."
        elif one.batch_size == picked and one.is_censored:
            yield f"{thumb} {picked}, which took longer, as far as it was trained."
        elif one.batch_size == picked:
            times = one.spent_seconds / first.spent_seconds
            yield f"{thumb} {picked}: {times:.2g} times as long."


def _over_all(answer: Answer) -> Iterator[str]:
    """Yield which rule won, where several ran."""
    firsts = {rule: race.best(found) for rule, found in answer.found.items()}
    order = sorted(firsts, key=lambda rule: (firsts[rule].median_seconds, not firsts[rule].reached))
    won = firsts[order[0]]
    if len(order) == 1 or not won.reached:
        return
    yield (
        f"Over all, the {order[0]} learning rate wins: {_median(won)} "
        f"at batch size {won.batch_size}."
    )
    for rule in order[1:]:
        first = firsts[rule]
        if first.reached:
            least = "more than " * first.is_censored
            times = f"{least}{first.spent_seconds / won.spent_seconds:.2g} times as long"
            doubt = ", though their seeds' times overlap" * race.overlap(first, won)
            yield f"The {rule} learning rate takes {times}, at {first.batch_size}{doubt}."


def _confirmed(answer: Answer) -> Iterator[str]:
    """Yield what the winner took with other seeds: those that chose it were lucky."""
    if not answer.confirming:
        return
    (again,) = race.candidates(answer.confirming)
    yield (
        f"With {len(again.runs)} seeds that had no part in choosing it, batch size "
        f"{again.batch_size} took {_median(again)} ({_spread(again)})."
        if len(again.runs) > 1
        else f"With a seed that had no part in choosing it, batch size {again.batch_size} took "
        f"{_median(again)}."
    )


def _effort(answer: Answer) -> str:
    """Return how long the search took, and which rules it cut short."""
    compiling = sum(run.prepare_seconds for run in answer.runs)
    took = f"The search took {answer.took_seconds:.0f} s, {compiling:.0f} s of it to prepare"
    seeds, samples = answer.options.seeds, answer.samples
    cut = [
        rule
        for rule in answer.options.lr_rules
        if race.next_trial(answer.found.get(rule, ()), lr_rule=rule, seeds=seeds, samples=samples)
    ]
    return f"{took}, and ended with more to run for {' and '.join(cut)}." if cut else f"{took}."
