"""Sentences: the fastest batch size, why an epoch at 1 is slow, what the largest size lost."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress

from bench.laws import laws
from bench.laws.laws import Estimate, Law, LawError, StepTime
from bench.report import axes
from bench.report.tables import over_seeds
from bench.runs import seeds
from bench.runs.case import MeasuredCase
from bench.runs.seeds import Seeds
from bench.units import counted, estimate, is_known, listed, per_cent, seconds

Cases = Sequence[MeasuredCase]

SLOW_SHARE = 0.25  # the least share of an epoch that makes its updates worth a sentence
NEAR = 1.1  # the largest ratio to the best time that still counts as near
ASKED = "loader"  # the engine of the question


def sentences(cases: Cases, memory_bytes: int | None) -> list[str]:
    """Write a run as sentences, the most useful first; the memory of its machine may be unknown."""
    series = seeds.by_series(cases)
    rates: dict[str, dict[str, list[Seeds]]] = {}
    for (engine, rule), sizes in series.items():
        rates.setdefault(engine, {})[rule] = sizes
    return [
        *(_fastest(engine, rule, sizes, cases) for (engine, rule), sizes in series.items()),
        *slow_epoch(cases),
        *map(_largest, rates.values()),
        *axes.sentences(cases, memory_bytes),
        *(_laws(engine, rule, sizes, cases) for (engine, rule), sizes in series.items()),
    ]


def _fastest(engine: str, rule: str, sizes: Sequence[Seeds], cases: Cases) -> str:
    """Name the batch size that trained fastest, and compare the others with it."""
    first, subject = sizes[0].cases[0], f"{rule.capitalize()} learning rate, {engine} engine"
    target = f"{first.score_name} {first.target_score:g}"
    best, *others = sorted(sizes, key=lambda trained: trained.median_seconds)
    if best.is_censored:
        budget = counted(first.max_epochs or 0, "epoch")
        closest = max(sizes, key=lambda trained: trained.missed_score)
        return (
            f"{subject}: no batch size reached {target} within {budget}; "
            f"{closest.batch_size} came closest, at {closest.missed_score:#.3g}."
        )
    over = f" ({over_seeds(best)} over {len(best.cases)} seeds)" if len(best.cases) > 1 else ""
    epochs = {case.batch_size: case.seconds for case in seeds.of_verb(cases, "epoch", engine)}
    return (
        f"{subject}: batch size {best.batch_size} trained fastest to {target}, in "
        f"{seconds(best.median_seconds)}{over}. "
        + " ".join([*_rivals(best, others), *_fastest_epoch(best, sizes, epochs)])
    )


def _rivals(best: Seeds, others: Sequence[Seeds]) -> list[str]:
    """Name the batch sizes that are as fast within a tenth, and those too close to call."""
    near = [trained for trained in others if trained.median_seconds <= NEAR * best.median_seconds]
    far = [trained for trained in others if trained not in near]
    unclear = [trained for trained in far if trained.overlaps(best)]
    ours, most = len(best.cases), max((len(trained.cases) for trained in others), default=0)
    answers = [f"Within {per_cent(NEAR - 1)} of it: {_sizes(near)}."] if near else []
    if ours == most == 1:
        answers.append("One seed each cannot tell batch sizes apart: --seeds=0,1,2 runs three.")
    elif unclear:
        noun = "batch size" + "s" * (len(unclear) > 1)
        answers.append(f"Too close to call, since seeds overlap: {noun} {_sizes(unclear)}.")
    elif far:
        rivals = [trained for trained in far if not trained.is_censored] or far
        # The chance that seeds of equal batch sizes would not overlap.
        chance = max(2 / math.comb(ours + len(trained.cases), ours) for trained in rivals)
        slower = f"All seeds of {_sizes(rivals)} were slower"
        answers.append(f"{slower} (p at most {chance:.2g} for each).")
    return answers


def _sizes(chosen: Sequence[Seeds]) -> str:
    return listed(sorted(trained.batch_size for trained in chosen))


def _fastest_epoch(best: Seeds, sizes: Sequence[Seeds], epochs: dict[int, float]) -> list[str]:
    """Name the trained batch size with the fastest epoch, and its time to the target."""
    timed = [trained for trained in sizes if trained.batch_size in epochs]
    if not timed:
        return []
    fastest = min(timed, key=lambda trained: epochs[trained.batch_size])
    epoch = seconds(epochs[fastest.batch_size])
    if fastest is best:
        return [f"Its epoch, {epoch}, is the fastest of these, too."]
    outcome = (
        f"takes {fastest.median_seconds / best.median_seconds:.1f} times as long to the target"
    )
    if fastest.is_censored:
        outcome = "diverged" if fastest.diverged else "did not reach the target"
    return [f"The fastest epoch, {epoch}, is that of {fastest.batch_size}, which {outcome}."]


def _shortest_update(cases: Cases, engine: str) -> float:
    """Return the least seconds per update that were measured; no part of an update takes longer."""
    return min(
        case.seconds / math.ceil(case.samples / case.batch_size)
        for verb in ("step", "epoch")
        for case in seeds.of_verb(cases, verb, engine)
    )


def slow_epoch(cases: Cases) -> list[str]:
    """Write what an epoch pays for its updates, by the law of the engine's own steps."""
    overheads = {}
    for engine in sorted(seeds.engines(cases), key=lambda name: name != ASKED):
        with suppress(LawError):
            overheads[engine] = _step_time(cases, engine, "step", "epoch").overhead_seconds
    first = {case.engine: case for case in reversed(seeds.of_verb(cases, "epoch"))}
    timed = [engine for engine in overheads if engine in first]
    known = [engine for engine in overheads if is_known(overheads[engine])]
    if not timed:
        return []
    engine = next((name for name in timed if name in known), timed[0])
    epoch, fixed = first[engine], overheads[engine]
    start = f"Why an epoch at batch size {epoch.batch_size} is slow ({engine} engine)"
    if engine not in known:
        return [f"{start}: the cost of an update apart from its samples {estimate(fixed)}."]
    updates = math.ceil(epoch.samples / epoch.batch_size)
    costs = {name: min(overheads[name].value, _shortest_update(cases, name)) for name in known}
    texts = {
        name: "at most " * (cost < overheads[name].value) + seconds(cost)
        for name, cost in costs.items()
    }
    if costs[engine] == fixed.value:
        texts[engine] = estimate(fixed, seconds)
    share = min(1.0, updates * costs[engine] / epoch.seconds)
    if share < SLOW_SHARE:
        return []
    others = [f"{texts[name]} with {name}" for name in known if name != engine]
    return [
        f"{start}: each update costs {texts[engine]} apart from loading and computing its samples. "
        f"The epoch pays that {updates:,} times, {seconds(share * epoch.seconds)} of its "
        f"{seconds(epoch.seconds)}; an epoch in one batch pays it once."
        + (f" That cost is {listed(others)}." if others else "")
    ]


def _largest(rates: Mapping[str, Sequence[Seeds]]) -> str:
    """Write what score the largest batch size came to at each rate, beside the best."""
    largest = next(iter(rates.values()))[-1].middle
    pace = "the fewest updates"
    if largest.epochs and largest.steps:
        number = round(largest.steps / largest.epochs)
        pace = "one update" if number == 1 else f"{number:,} updates"
    answers = [f"Batch size {largest.batch_size} ({largest.engine} engine) makes {pace} per epoch."]
    for rule, sizes in rates.items():
        best, last = seeds.fastest(sizes).middle, sizes[-1].middle
        score = sizes[-1].missed_score if sizes[-1].is_censored else last.test_score
        text = f"At the {rule} rate {_spent(last)} came to {last.score_name} {score:#.3g}"
        if best.batch_size < last.batch_size:
            came_to = f"{best.test_score:#.3g} with {_spent(best)}"
            text += f"; batch size {best.batch_size} came to {came_to}"
        answers.append(f"{text}.")
    return " ".join(answers)


def _spent(case: MeasuredCase) -> str:
    updates = counted(case.steps, "update")
    if case.epochs is None:
        return updates
    epochs = f"{case.epochs:.2g}"
    return f"{updates} in {epochs} epoch" + "s" * (epochs != "1")


def _laws(engine: str, rule: str, sizes: Sequence[Seeds], cases: Cases) -> str:
    """Write the laws of step time and of steps to the target that fit a series."""
    subject = f"Laws (95 % intervals), {engine} engine, {rule} rate"
    steps = {trained.batch_size: trained.steps for trained in sizes}
    try:
        if rule == "fixed":
            slope = laws.slope_of_log_steps(steps)
            power = f"{slope.value:z.2f} ({slope.low:z.2f} to {slope.high:z.2f})"
            if slope.high - slope.low > 2:  # noqa: PLR2004 - ten times the batch, a factor of ten
                power = "that cannot be told from this run"
            return (
                f"{subject}: steps to the target grow as B to the power {power}{_without(steps)}."
            )
        law = laws.fit_steps_to_target(steps)
        time = _step_time(cases, engine, "epoch", "step")
    except LawError as error:
        return f"{subject}: none, since {error}."
    best = laws.best_batch_size(time.half_batch_size, law.critical_batch_size)
    half, critical = time.half_batch_size, law.critical_batch_size
    return (
        f"{subject}: a step takes o + c B, and {_named('o / c = B_half', half)}{_misfit(time)}. "
        f"The target takes S_min (1 + B_crit / B) steps; {_named('S_min', law.smallest_steps)}, "
        f"{_named('B_crit', critical)}{_misfit(law)}{_without(steps)}. The product of both is "
        f"least at B*; {_named('B*', best)}."
    )


def _named(symbol: str, value: Estimate) -> str:
    """Write "B* = 24 (20 to 29)", or that the run cannot tell it."""
    return f"{symbol} = {estimate(value)}" if is_known(value) else f"{symbol} {estimate(value)}"


def _misfit(law: Law) -> str:
    return f", off by up to {per_cent(law.largest_misfit)} at {law.worst_batch_size}"


def _without(steps: Mapping[int, Sequence[float]]) -> str:
    censored = laws.censored(steps)
    return f" (without {listed(censored)}, which missed it)" if censored else ""


def _step_time(cases: Cases, engine: str, verb: str, otherwise: str) -> StepTime:
    """Fit the law of step time to the cases of a verb, or of `otherwise` if those are too few."""
    with suppress(LawError):
        return laws.fit_step_time(seeds.step_seconds(cases, engine, verb))
    return laws.fit_step_time(seeds.step_seconds(cases, engine, otherwise))
