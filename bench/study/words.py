"""What a study found, in tables and sentences."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from rich.table import Table

from bench import cases
from bench.answer import steps_curve, steps_law
from bench.answer.line import CONFIDENCE, Estimate, LawError, fit_line
from bench.runs.seeds import median_over_seeds
from bench.study.check import Checked
from bench.study.plan import JUDGES
from bench.study.reference import Reference, TunedRate
from bench.study.tuning import GRID_RATIO
from bench.units import listed


def report(reference: Reference) -> Iterator[Table | str]:
    """Yield a table and sentences for each target."""
    study = reference.study
    yield (
        f"{study['data']}, commit {(study['commit'] or 'unknown')[:7]}, {study['started'][:10]}, "
        f"torch {study['torch']}, numba {study['numba']}: {study['command']}"
    )
    for target in reference.tuned:
        yield ""
        yield table(reference, target)
        yield from _sentences(reference, target)


def checked(run: Checked) -> str:
    """Say whether a run took the reference's steps here."""
    here, there = (
        f"reached {run.target:g} after {steps:,.0f} steps" if steps < math.inf else "missed it"
        for steps in (run.steps_here, run.steps_there)
    )
    what = f"batch size {run.setting.batch_size}, seed {run.setting.seed}"
    if run.agrees:
        return f"Checked here: {what} {here}, and {there} in the study."
    return (
        f"This machine or these versions train differently: {what} {here}, and "
        f"{there} in the study. Make a study here: python -m bench steps FILE"
    )


def table(reference: Reference, target: float) -> Table:
    """Lay out a row for each batch size."""
    table = Table(title=f"steps to accuracy {target:g}", title_justify="left", title_style="bold")
    headings = ("batch size", "rate", *JUDGES, "seeds", f"at {cases.LEARNING_RATE}")
    for heading in headings:
        table.add_column(heading, justify="right")
    validation, test = (reference.runs(target, judged_on=judge) for judge in JUDGES)
    fixed = reference.runs(target, judged_on="test", rate=cases.LEARNING_RATE)
    for one in reference.tuned[target]:
        size = one.batch_size
        table.add_row(
            f"{size}",
            f"{one.learning_rate:.3g}" + " (edge)" * (not one.is_interior),
            _median(validation[size]),
            _median(test[size]),
            _spread(test[size]),
            _median(fixed[size]),
        )
    return table


def _median(runs: Mapping[int, steps_law.Bounds]) -> str:
    median = median_over_seeds(high for _, high in runs.values())
    if median < math.inf:
        return f"{median:,.0f}"
    return f"> {max(low for low, high in runs.values() if high == math.inf):,.0f}"


def _spread(runs: Mapping[int, steps_law.Bounds]) -> str:
    ends = sorted(high for _, high in runs.values())
    low, high = (f"{end:,.0f}" if end < math.inf else "not reached" for end in (ends[0], ends[-1]))
    return f"{low} to {high}"


def _sentences(reference: Reference, target: float) -> Iterator[str]:
    """Yield the law of steps, how it predicts a size left out, and the law of the rates."""
    runs = reference.runs(target, judged_on="test")
    try:
        law = steps_law.fit(runs)
    except LawError as error:
        yield f"No law of steps: {error}."
    else:
        yield (
            f"S(B) = S_min (1 + B_crit / B): S_min {_estimate(law.smallest_steps)}, "
            f"B_crit {_estimate(law.critical_batch_size)}; steps of a seed spread by "
            f"{math.hypot(law.seed_spread, law.run_spread):.0%}."
        )
        yield f"{_fit(law.lack_of_fit)} Off by {_errors(law.misfits)}."
        with suppress(LawError):  # too few sizes to leave one out
            errors, curve = steps_law.left_out(runs), steps_curve.left_out(law.medians)
            yield (
                f"A size predicted from the others is off by {_middle_and_worst(errors)}; by a "
                f"falling curve through their medians, by {_middle_and_worst(curve)}."
            )
    yield from _rates(reference.tuned[target])


def _middle_and_worst(errors: Mapping[int, float]) -> str:
    sizes = sorted(map(abs, errors.values()))
    return f"{sizes[len(sizes) // 2]:.0%} in the median, {sizes[-1]:.0%} at worst"


def _fit(lack_of_fit: float) -> str:
    if lack_of_fit < 1 - CONFIDENCE:
        return f"The seeds' spread does not explain its misfits (p = {lack_of_fit:.2g})."
    return f"The seeds' spread explains its misfits (p = {lack_of_fit:.2g})."


def _errors(misfits: Mapping[int, float]) -> str:
    return listed([f"{misfit:+.0%} at {size}" for size, misfit in misfits.items()])


def _rates(tuned: Sequence[TunedRate]) -> Iterator[str]:
    """Yield the law of the rates, lr_max / (1 + B_noise / B): a line in 1 / B of 1 / rate."""
    inside = [one for one in tuned if one.is_interior]
    if len(inside) < steps_law.FEWEST_SIZES:
        yield f"No law of rates: it needs {steps_law.FEWEST_SIZES} batch sizes with a tuned rate."
        return
    try:
        line = fit_line(
            [1 / one.batch_size for one in inside],
            [1 / one.learning_rate for one in inside],
            flat="rates do not grow with batch size",
            proportional="rates grow as fast as batch size, or faster",
        )
    except LawError as error:
        yield f"No law of rates: {error}."
        return
    largest, noise = line.power(-1, 0), line.power(-1, 1)
    misfits = {
        one.batch_size: one.learning_rate * (1 + noise.value / one.batch_size) / largest.value - 1
        for one in inside
    }
    yield (
        f"Rates follow lr_max / (1 + B_noise / B): lr_max {_estimate(largest)}, B_noise "
        f"{_estimate(noise)}. The grid's spacing is {GRID_RATIO - 1:.0%}; "
        f"off by {_errors(misfits)}."
    )


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.value:,.3g} ({estimate.low:,.3g} to {estimate.high:,.3g})"
