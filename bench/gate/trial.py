"""One gate: screen every case, confirm those that differ, and watch identical code beside."""

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from bench.cases import Case
from bench.gate import duet, pair_tests, verdict
from bench.gate.duet import CaseError, Version, Worker, WorkerError
from bench.gate.pair_tests import Pair, Pairs
from bench.gate.verdict import Evidence

ATTEMPTS = 2  # where identical code is convicted, once more from the start: declared in advance

Measure = Callable[[Sequence[Case]], Mapping[str, Pair]]
Tell = Callable[[str], object]


def screen(measure: Measure, cases: Sequence[Case]) -> dict[str, list[Pair]]:
    """Few pairs of every case, and of every family."""
    pairs = defaultdict(list)
    for _ in range(verdict.SCREENING_PAIRS):
        for name, pair in measure(cases).items():
            pairs[name].append(pair)
    whole = {name: seen for name, seen in pairs.items() if len(seen) == verdict.SCREENING_PAIRS}
    return pair_tests.with_families(whole, cases)


def confirm(
    measure: Measure, cases: Sequence[Case], hypotheses: Sequence[str], *, margin: float
) -> dict[str, list[Pair]]:
    """Fresh pairs of each hypothesis, a case or a family, until its test is decided."""
    pairs: dict[str, list[Pair]] = {name: [] for name in hypotheses}
    needed = pair_tests.pairs_needed(max(1, len(hypotheses)))
    for _ in range(needed):
        undecided = {
            name
            for name, seen in pairs.items()
            if pair_tests.is_open(seen, margin=margin, needed=needed)
        }
        chosen = [case for case in cases if undecided & {case.name, case.family}]
        if not chosen:
            break
        measured = {name: [pair] for name, pair in measure(chosen).items()}
        for name, (pair,) in pair_tests.with_families(measured, cases).items():
            if name in undecided:
                pairs[name].append(pair)
    return {name: seen for name, seen in pairs.items() if seen}


def attempt(measure: Measure, cases: Sequence[Case], *, margin: float) -> tuple[Pairs, Pairs, bool]:
    """Both stages: the pairs of the screen, those of the confirmation, and whether it was restless.

    Where identical code is convicted, both are done once more.
    """
    for _ in range(ATTEMPTS):
        screened = screen(measure, cases)
        hypotheses = pair_tests.routed(screened, margin=margin)
        confirmed = confirm(measure, cases, hypotheses, margin=margin)
        restless = pair_tests.is_restless(confirmed, margin=margin)
        if not restless:
            break
    return screened, confirmed, restless


@dataclass(kw_only=True)
class Duets:
    """Pairs from real processes: base, a second copy of base, and head, in turns."""

    base: Version
    head: Version
    threads: int
    cores: Sequence[int]
    rng: random.Random
    tell: Tell
    seconds: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    peaks: dict[str, tuple[list[int], list[int]]] = field(default_factory=dict)
    losses: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    pairs_measured: int = 0
    _running: ExitStack = field(default_factory=ExitStack)
    _workers: list[Worker] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def start(self) -> list[dict[str, Any]]:
        """Start a worker for each, and return how base and head describe themselves.

        Raises:
            WorkerError: one cannot be measured at all.

        """
        control = Version(name="control", tree=self.base.tree, python=self.base.python)
        versions = [self.base, control, self.head]
        company = duet.company(versions, threads=self.threads)
        self._workers = self._running.enter_context(company)
        return [self._workers[0].hello, self._workers[2].hello]

    def measure(self, cases: Sequence[Case]) -> dict[str, Pair]:
        """One pair of each case that has not failed yet, from fresh processes."""
        self.pairs_measured += 1
        pairs: dict[str, Pair] = {}
        waiting = [case for case in cases if case.name not in self.failures]
        self.tell(f"pair {self.pairs_measured} of fresh processes, {len(waiting)} cases")
        while waiting:
            try:
                with duet.fresh(self._workers, self.cores, self.rng):
                    while waiting:
                        self._measure_one(waiting[0], pairs)
                        waiting.pop(0)
            except WorkerError as error:
                if waiting:
                    self.failures[waiting.pop(0).name] = str(error)
                self._running.close()
                self.start()
        return {name: pair for name, pair in pairs.items() if name not in self.failures}

    def _measure_one(self, case: Case, pairs: dict[str, Pair]) -> None:
        base, _, head = self._workers
        try:
            if case.name not in self.losses:
                self.losses[case.name] = base.losses(case), head.losses(case)
            peaks = self.peaks.setdefault(case.name, ([], []))
            if len(peaks[0]) < verdict.SCREENING_PAIRS:
                peaks[0].append(base.peak_bytes(case))
                peaks[1].append(head.peak_bytes(case))
            turns = duet.take_turns(self._workers, case, self.rng)
        except CaseError as error:
            self.failures[case.name] = str(error)
            return
        seconds = self.seconds.setdefault(case.name, ([], []))
        seconds[0].append(statistics.median(turns[0]))
        seconds[1].append(statistics.median(turns[2]))
        pairs[case.name] = Pair(
            head=pair_tests.log_ratio(turns[0], turns[2]),
            control=pair_tests.log_ratio(turns[0], turns[1]),
        )


def run(duets: Duets, cases: Sequence[Case], *, margin: float) -> Evidence:
    """Measure until every case and family has what its judgement needs."""
    screened, confirmed, restless = attempt(duets.measure, cases, margin=margin)
    return Evidence(
        screen={name: pairs for name, pairs in screened.items() if name not in duets.failures},
        confirm={name: pairs for name, pairs in confirmed.items() if name not in duets.failures},
        restless=restless,
        seconds=duets.seconds,
        peaks=duets.peaks,
        losses=duets.losses,
        failures=duets.failures,
    )
