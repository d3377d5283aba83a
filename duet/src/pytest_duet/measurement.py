"""One gate's measurement: pairs of cases from real processes, and what the processes report."""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pytest_duet import IncomparableError, collection, pair_tests, stages, turns, verdict
from pytest_duet.collection import Collection
from pytest_duet.duet_server.channel import LOSSES, PEAK_MEMORY
from pytest_duet.pair_tests import Pair
from pytest_duet.processes import Launcher, Process
from pytest_duet.stages import TakePairs, Tell
from pytest_duet.trees import Version
from pytest_duet.turns import TooLongError
from pytest_duet.units import counted
from pytest_duet.verdict import Evidence

Answers = Sequence[Mapping[str, Any]]  # an answer per process
# Handles a case whose processes have answered, and returns how the case ended in each process.
Act = Callable[[Sequence[Process], str, Answers], Answers]


@dataclass(kw_only=True)
class Measurement:
    """Pairs from real processes: base, a second copy of base, and head, in turns."""

    versions: Sequence[Version]  # base, control, head
    seconds_per_case: float
    rng: random.Random
    tell: Tell
    is_built: bool = False
    until: float = math.inf  # end of the time limit, by time.monotonic
    slowed: Mapping[str, float] = field(default_factory=dict)  # shares of time added in the head
    cores: Sequence[int] = ()  # cores for all processes; none while cases are rehearsed
    collections: list[Collection] = field(default_factory=list)  # base's and head's
    noted_cases: int = 0  # most cases that had run when imported modules were checked
    families: dict[str, str] = field(default_factory=dict)  # each case's function, and any group
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=lambda: Evidence(screen={}, confirm={}))

    def rehearse(self, launcher: Launcher) -> None:
        """Collect in base and head, and run each case once in both, before anything is timed.

        After that, all that a first call compiles or caches on disk is there, and cases that cannot
        be measured are known.
        """
        base, _, head = self.versions
        self.tell("collecting the cases of base and head")
        with launcher.fresh((base, head), self.rng) as processes:
            self.collections = collection.of_each(processes, (base, head))
        collection.check(*self.collections, is_built=self.is_built)
        self.families, missing = collection.cases(*self.collections)
        self.evidence.failures.update(missing)
        if self.until < math.inf:
            changed = collection.changed(*self.collections)
            in_order = sorted(self.families, key=lambda name: name not in changed)
            self.families = {name: self.families[name] for name in in_order}
        self.tell(f"rehearsing {counted(len(self.families), 'case')}")
        self._each_case(launcher, (base, head), [*self.families], self._end_case, until=self.until)

    def run(self, new_launcher: Callable[[], Launcher], *, margin: float) -> Evidence:
        """Measure every case and family until it can be judged."""

        @contextmanager
        def new_stage() -> Iterator[TakePairs]:  # each stage starts its own server
            with new_launcher() as launcher:
                yield partial(self._pair, launcher)

        measured = stages.run(
            new_stage, self.families, margin=margin, until=self.until, tell=self.tell
        )
        unfinished = {name: self.pairs[name] for name in self.evidence.cut_short}
        unmeasured = [
            name
            for name in self.families
            if self._is_measurable(name) and name not in measured.screen
        ]
        return replace(
            self.evidence,
            screen=unfinished | dict(measured.screen),
            confirm=measured.confirm,
            is_noisy=measured.is_noisy,
            not_judged=measured.not_judged | dict.fromkeys(unmeasured, verdict.TIME_OVER),
        )

    def _pair(
        self, launcher: Launcher, names: Sequence[str], *, until: float, precision: float
    ) -> dict[str, Pair]:
        """Take a pair of each case that can be measured, from fresh processes."""
        pairs: dict[str, Pair] = {}
        take = partial(self._take_case, pairs, precision)
        self._each_case(launcher, self.versions, names, take, until=until)
        return pairs

    def _each_case(
        self,
        launcher: Launcher,
        versions: Sequence[Version],
        names: Sequence[str],
        act: Act,
        *,
        until: float = math.inf,
    ) -> None:
        """Act on each case that can be measured, with fresh processes after an unusable one."""
        waiting = [name for name in names if self._is_measurable(name)]
        while waiting and time.monotonic() < until:
            cases = len(waiting)
            try:
                with launcher.fresh(versions, self.rng) as processes:
                    self._start(processes, waiting)
                    are_usable = True
                    while waiting and are_usable and time.monotonic() < until:
                        answers = [process.answer() for process in processes]
                        ends = act(processes, waiting[0], answers)
                        are_usable = all(end["usable"] for end in ends)
                        waiting.pop(0)
                    if not waiting and cases > self.noted_cases:
                        self._note_modules(processes)
                        self.noted_cases = cases
            except IncomparableError as error:  # a process does not start, or a case kills it
                if not waiting:
                    raise
                self.evidence.failures[waiting.pop(0)] = str(error)

    def _note_modules(self, processes: Sequence[Process]) -> None:
        """Check what base and head have imported, now that their cases have run."""
        self.collections = collection.of_each(
            (processes[0], processes[-1]), (self.versions[0], self.versions[-1])
        )
        collection.check_modules(*self.collections, is_built=self.is_built)

    def _is_measurable(self, name: str) -> bool:
        evidence = self.evidence
        reasons = evidence.failures, evidence.left_out, evidence.cut_short
        return not any(name in reason_by_case for reason_by_case in reasons)

    def _start(self, processes: Sequence[Process], cases: Sequence[str]) -> None:
        """Ask every process to run the cases in order."""
        for process in self.rng.sample(processes, len(processes)):
            slowed = dict(self.slowed) if process.name == "head" else {}
            process.send(do="run", cases=cases, cores=list(self.cores), slowed=slowed)

    def _take_case(
        self,
        pairs: dict[str, Pair],
        precision: float,
        processes: Sequence[Process],
        name: str,
        answers: Answers,
    ) -> Answers:
        """Measure one case."""
        taken = None
        if all("ready" in answer for answer in answers):
            try:
                taken = turns.take(
                    processes,
                    self.rng,
                    seconds_per_case=self.seconds_per_case,
                    precision=precision,
                )
            except TooLongError as error:
                self._leave_out(name, str(error))
        ends = self._end_case(processes, name, answers)
        if taken and self._is_measurable(name):
            pairs[name] = pair_tests.pair_of(taken)
            self._keep(name, pairs[name], ends, taken)
        return ends

    def _leave_out(self, name: str, reason: str) -> None:
        """Leave a case out; a case that already has a pair is cut short, so that it cannot pass."""
        if name in self.pairs:
            measured = counted(len(self.pairs[name]), "pair")
            self.evidence.cut_short[name] = f"after {measured} it {reason}"
        else:
            self.evidence.left_out[name] = reason

    def _end_case(self, processes: Sequence[Process], name: str, answers: Answers) -> Answers:
        """Let a case end in every process; note its group, and why it cannot be measured, if so."""
        for process, answer in zip(processes, answers, strict=True):
            if "ready" in answer:
                process.send(do="finish")
        ends = [
            process.answer() if "ready" in answer else dict(answer)
            for process, answer in zip(processes, answers, strict=True)
        ]
        function = name.split("[", maxsplit=1)[0]
        group = next((end["group"] for end in ends if end["group"]), "")
        self.families[name] = f"{function}, {group}" if group else function
        outcomes = {end["outcome"] for end in ends}
        if outcomes == {"left out"}:
            self._leave_out(name, ends[0]["reason"])
        elif outcomes != {"passed"}:
            self.evidence.failures[name] = next(
                f"in {process.name} it {end['reason']}"
                for process, end in zip(processes, ends, strict=True)
                if end["outcome"] != "passed"
            )
        elif lost := _lost_figures([end["figures"] for end in ends]):
            self.evidence.failures[name] = f"head no longer stores {' and '.join(lost)}"
        return ends

    def _keep(self, name: str, pair: Pair, ends: Answers, taken: Sequence[Sequence[float]]) -> None:
        """Keep a case's pair, its seconds, and the figures that all versions stored."""
        self.pairs.setdefault(name, []).append(pair)
        versions = self.evidence.seconds.setdefault(name, [[] for _ in taken])
        for seconds, turn_seconds in zip(versions, taken, strict=True):
            seconds.append(statistics.median(turn_seconds))
        figures = [end["figures"] for end in ends]
        if all(LOSSES in stored for stored in figures):
            self.evidence.losses.setdefault(name, [stored[LOSSES] for stored in figures])
        if all(PEAK_MEMORY in stored for stored in figures):
            peaks = [stored[PEAK_MEMORY] for stored in figures]
            self.evidence.peak_bytes.setdefault(name, []).append(peaks)


def _lost_figures(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the figures that a process of the base stored and the head, the last, did not."""
    *base, head = figures
    return [
        name
        for name in (LOSSES, PEAK_MEMORY)
        if name not in head and any(name in stored for stored in base)
    ]
