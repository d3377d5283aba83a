"""What a run found beside batch size: feeding, cores and alignment, a sentence each."""

from collections.abc import Sequence

from bench import cases
from bench.runs.case import MeasuredCase
from bench.runs.selection import engines, of_verb
from bench.units import listed, seconds


def sentences(measured: Sequence[MeasuredCase]) -> list[str]:
    """Put the axes of a run into words."""
    return [
        *_loading([case for case in measured if case.verb == "loading"]),
        *_feeding([case for case in measured if case.verb == "feeding"]),
        *_threads([case for case in measured if case.verb == "threads"]),
        *_workers([case for case in measured if case.verb == "workers_step"]),
        *_alignment([case for case in measured if case.verb == "alignment"]),
        *_compiling(measured),
    ]


def _rate(case: MeasuredCase) -> str:
    return f"{case.samples_per_second:,.0f} samples/s"


def _loading(found: Sequence[MeasuredCase]) -> list[str]:
    if not found:
        return []
    rates = ", ".join(f"{_rate(case)} with {case.workers}" for case in found)
    return [f"DataLoader alone, batches of {cases.AXIS_BATCH_SIZE}: {rates} workers."]


def _feeding(found: Sequence[MeasuredCase]) -> list[str]:
    if not found:
        return []
    rates = ", ".join(
        f"{_rate(case)} with {case.threads} computing and {case.workers} feeding" for case in found
    )
    return [f"Cores, loader engine: {rates}."]


def _threads(found: Sequence[MeasuredCase]) -> list[str]:
    sentences = []
    for engine in engines(found):
        rates = [f"{_rate(case)} on {case.threads}" for case in found if case.engine == engine]
        sentences.append(f"Cores, {engine} engine: {', '.join(rates)}.")
    return sentences


def _workers(found: Sequence[MeasuredCase]) -> list[str]:
    sentences = []
    for engine, size in dict.fromkeys((case.engine, case.batch_size) for case in found):
        rates = [
            f"{_rate(case)} by {case.workers} x {case.threads}"
            for case in found
            if (case.engine, case.batch_size) == (engine, size)
        ]
        what = f"Workers x threads that share a batch, {engine} engine, batch size {size}"
        sentences.append(f"{what}: {', '.join(rates)}.")
    return sentences


def _alignment(found: Sequence[MeasuredCase]) -> list[str]:
    sentences = []
    for engine in engines(found):
        verdicts = [
            f"{case.batch_size} to {case.beside} {case.ratio - 1:+.1%} ({case.verdict})"
            for case in found
            if case.engine == engine and case.ratio is not None
        ]
        is_doubtful = any(
            case.engine == engine and case.batch_size == case.beside and case.verdict != "equal"
            for case in found
        )
        doubt = " A size is not found equal to itself, so the others say little."
        sentences.append(
            f"Seconds a sample, {engine} engine, equal meaning within {cases.EQUAL_WITHIN:.0%}: "
            f"{', '.join(verdicts)}." + (doubt if is_doubtful else "")
        )
    return sentences


def forms(measured: Sequence[MeasuredCase]) -> list[str]:
    """Name the forms that an engine chose, and at which batch sizes."""
    sentences = []
    for engine in engines(measured):
        for article, verb in (("a", "step"), ("an", "epoch")):
            chosen: dict[str, list[int]] = {}
            for case in of_verb(measured, verb, engine):
                if case.form:
                    threads = "thread" if case.form_threads == 1 else "threads"
                    name = f"{case.form} on {case.form_threads} {threads}"
                    chosen.setdefault(name, []).append(case.batch_size)
            if chosen:
                text = "; ".join(f"{name} at {listed(sizes)}" for name, sizes in chosen.items())
                sentences.append(f"{engine} engine, form of {article} {verb}: {text}.")
    return sentences


def _compiling(measured: Sequence[MeasuredCase]) -> list[str]:
    total = sum(case.compile_seconds for case in measured)
    return (
        [f"Compiling, and choosing forms, took {seconds(total)}, which is in no time above."]
        if total
        else []
    )
