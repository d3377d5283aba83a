"""What a run shows beside batch size: memory, disturbances, compiling, cores and alignment."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from statistics import median

from bench.laws import laws
from bench.laws.laws import LawError
from bench.runs.case import MeasuredCase
from bench.runs.seeds import engines, of_verb
from bench.units import gigabytes, listed, seconds, two_digits

Cases = Sequence[MeasuredCase]

ALIGNMENT = "Seconds per sample beside a neighbouring batch size, {} engine"
DOUBT = (
    "no verdict, because the control (a size beside itself) was not equal, or the overhead of a "
    "step is not known"
)
VERDICTS = {"equal", "different", "undecided"}


def sentences(cases: Cases, memory_bytes: int | None) -> list[str]:
    """Write a sentence on each subject that the run measured."""
    groups: dict[str, list[str]] = {}
    for case in cases:
        for subject, text in _of_case(case):
            groups.setdefault(subject, []).append(text)
    for engine in engines(cases):
        if _is_doubtful(of_verb(cases, "alignment", engine)):
            groups[ALIGNMENT.format(engine)] = [DOUBT]
    return [
        *_disturbed(cases),
        *_compiling(cases),
        *_memory(cases, memory_bytes),
        *(f"{subject}: {', '.join(texts)}." for subject, texts in groups.items()),
    ]


def _of_case(case: MeasuredCase) -> Iterator[tuple[str, str]]:
    """Yield the subject of a sentence, and the part of it that the case contributes."""
    rate = f"{case.samples_per_second:,.0f} samples/s with"
    match case.verb:
        case "loading":
            subject = f"DataLoader alone, batches of {case.batch_size}, by worker processes"
            yield subject, f"{rate} {case.workers}"
        case "feeding":
            subject = f"Cores that compute + cores that load, {case.engine} engine"
            yield subject, f"{rate} {case.threads} + {case.workers}"
        case "threads":
            yield f"Cores, {case.engine} engine", f"{rate} {case.threads}"
        case "workers_step":
            subject = f"Workers x threads, {case.engine} engine, batch size {case.batch_size}"
            yield subject, f"{rate} {case.workers} x {case.threads}"
        case "alignment" if case.ratio:
            text = f"{case.batch_size} to {case.beside} {case.ratio - 1:+.1%} ({case.verdict})"
            yield ALIGNMENT.format(case.engine), text
    for peer, turns in case.peer_seconds.items():
        images = " on images without zeros" * case.verb.endswith("without_zeros")
        times = f"{median(turns) / case.seconds:.2f}"
        if peer in case.peer_ratios:
            times = "{:.2f} ({:.2f} to {:.2f})".format(*case.peer_ratios[peer])
        subject = f"Time of {peer} divided by time of {case.engine}{images}"
        yield subject, f"{times} at batch size {case.batch_size}"


def _is_doubtful(pairs: Cases) -> bool:
    """Whether a control is not equal, or a comparison has no verdict."""
    controls = {case.verdict for case in pairs if case.batch_size == case.beside}
    return not (controls <= {"equal"} and {case.verdict for case in pairs} <= VERDICTS)


def _memory(cases: Cases, memory_bytes: int | None) -> list[str]:
    """Write how peak memory grows with batch size, and whether memory is a limit."""
    epochs, uses = of_verb(cases, "epoch"), {}
    for engine in engines(cases):
        own = of_verb(epochs, "epoch", engine)
        peaks = {case.batch_size: case.peak_memory_bytes for case in own}
        with suppress(LawError):
            uses[engine] = laws.fit_memory(peaks)
    if not uses:
        return []
    growth = [f"{two_digits(use.bytes_per_sample)} bytes ({name})" for name, use in uses.items()]
    sentence = f"Peak memory per sample of a batch: {listed(growth)}"
    if not memory_bytes:
        return [f"{sentence}."]
    largest = min(use.largest_batch(memory_bytes) for use in uses.values())
    samples = max(case.samples for case in epochs)
    fits = f"batches of about {two_digits(largest)}"
    if largest >= samples:
        fits = f"a batch of all {samples:,}, so memory is no limit here"
    return [f"{sentence}; {gigabytes(memory_bytes)} hold {fits}."]


def _disturbed(cases: Cases) -> list[str]:
    """Count the disturbed cases, and name what disturbed the first."""
    watched = [case for case in cases if case.disturbed is not None]
    marked = [case for case in watched if case.disturbed]
    if not marked:
        return [f"Other processes disturbed none of {len(watched)} cases."] if watched else []
    was = "was" if len(marked) == 1 else "were"
    sentence = (
        f"{len(marked)} of {len(watched)} cases {was} disturbed (marked *), the first "
        f"{marked[0].name}: {marked[0].disturbed}. --rerun-disturbed=1 runs them again."
    )
    return [sentence]


def _compiling(cases: Cases) -> list[str]:
    total = sum(case.compile_seconds for case in cases)
    sentence = f"Compiling and choosing forms took {seconds(total)}, not included in times above."
    return [sentence] if total else []
