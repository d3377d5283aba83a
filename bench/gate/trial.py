"""One gate's measurement: pairs of cases from real processes, and what the processes report."""

import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bench.gate import IncomparableError, pair_tests, stages, turns
from bench.gate.company import Company, Process, Version
from bench.gate.gate_worker.channel import LOSSES, PEAK_MEMORY
from bench.gate.pair_tests import Pair
from bench.gate.stages import Measure, Tell
from bench.gate.turns import TooLongError
from bench.gate.verdict import Evidence
from bench.units import counted

Answers = Sequence[Mapping[str, Any]]  # one of each process
# Does something with a case whose processes have answered, and returns how it ended in each.
Act = Callable[[Sequence[Process], str, Answers], Answers]


@dataclass(kw_only=True)
class Trial:
    """Pairs from real processes: base, a second copy of base, and head, in turns."""

    versions: Sequence[Version]  # base, its copy, head
    seconds_per_case: float
    cores: Sequence[int]
    rng: random.Random
    tell: Tell
    # Of each case: its function, and its group where it has one.
    families: dict[str, str] = field(default_factory=dict)
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    seconds: dict[str, list[list[float]]] = field(default_factory=dict)
    peak_bytes: dict[str, list[list[int]]] = field(default_factory=dict)
    losses: dict[str, list[list[float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    cut_short: dict[str, str] = field(default_factory=dict)

    def rehearse(self, company: Company, processes: Sequence[Process]) -> bool:
        """Run each case once in base and head, before any time counts.

        What a first call compiles or loads for all later ones is there then, and cases that cannot
        be measured are known. The processes, one of each, come first; the company has fresh ones
        for what they cannot run. Returns whether these processes ran every case, and live.
        """
        base, _, head = self.versions
        waiting = self._waiting(list(self.families))
        self.tell(f"rehearsing {len(waiting)} cases")
        is_usable = self._run_in(processes, waiting, self._end_case) and not waiting
        self._each_case(company, (base, head), waiting, self._end_case)
        return is_usable

    def run(self, new_company: Callable[[], Company], *, margin: float) -> Evidence:
        """Measure until every case and family has what its judgement needs."""

        @contextmanager
        def new_stage() -> Iterator[Measure]:  # which shares no server with another
            with new_company() as company:
                yield partial(self._pair, company)

        measured = stages.run(new_stage, self.families, margin=margin, tell=self.tell)
        unfinished = {name: self.pairs[name] for name in self.cut_short}
        return replace(
            measured,
            screen=unfinished | dict(measured.screen),
            seconds=self.seconds,
            peak_bytes=self.peak_bytes,
            losses=self.losses,
            failures=self.failures,
            left_out=self.left_out,
            cut_short=self.cut_short,
        )

    def _waiting(self, names: Sequence[str]) -> list[str]:
        unmeasurable = self.failures | self.left_out | self.cut_short
        return [name for name in names if name not in unmeasurable]

    def _pair(self, company: Company, names: Sequence[str]) -> dict[str, Pair]:
        """One pair of each case that can be measured, from fresh processes."""
        pairs: dict[str, Pair] = {}
        take = partial(self._take_case, pairs)
        self._each_case(company, self.versions, names, take, cores=self.cores)
        return pairs

    def _each_case(
        self,
        company: Company,
        versions: Sequence[Version],
        names: Sequence[str],
        act: Act,
        *,
        cores: Sequence[int] = (),
    ) -> None:
        """Do something with each case that can be measured, in fresh processes as often as due."""
        waiting = self._waiting(names)
        while waiting:
            try:
                with company.fresh(versions, self.rng) as processes:
                    self._run_in(processes, waiting, act, cores=cores)
            except IncomparableError as error:  # a process does not start
                self.failures[waiting.pop(0)] = str(error)

    def _run_in(
        self,
        processes: Sequence[Process],
        waiting: list[str],
        act: Act,
        *,
        cores: Sequence[int] = (),
    ) -> bool:
        """Do something with the cases that wait, until one leaves these processes unusable.

        A case that its process does not survive is named as a failure. Returns whether the
        processes live; the cases that were done no longer wait.
        """
        try:
            for process in self.rng.sample(processes, len(processes)):
                process.send(do="run", cases=waiting, cores=list(cores))
            goes_on = True
            while waiting and goes_on:
                answers = [process.answer() for process in processes]
                goes_on = all(end["usable"] for end in act(processes, waiting[0], answers))
                waiting.pop(0)
        except IncomparableError as error:
            self.failures[waiting.pop(0)] = str(error)
            return False
        return True

    def _take_case(
        self, pairs: dict[str, Pair], processes: Sequence[Process], name: str, answers: Answers
    ) -> Answers:
        """Measure one case."""
        taken = None
        if all("ready" in answer for answer in answers):
            try:
                taken = turns.take(processes, self.rng, seconds_per_case=self.seconds_per_case)
            except TooLongError as error:
                self._leave_out(name, str(error))
        ended = self._end_case(processes, name, answers)
        if taken and self._waiting([name]):
            pairs[name] = pair_tests.pair_of(taken)
            self._keep(name, pairs[name], ended, taken)
        return ended

    def _leave_out(self, name: str, reason: str) -> None:
        """Leave a case out; once it has a pair, it was measured and must not pass unjudged."""
        if name in self.pairs:
            measured = counted(len(self.pairs[name]), "pair")
            self.cut_short[name] = f"after {measured} it {reason}"
        else:
            self.left_out[name] = reason

    def _end_case(self, processes: Sequence[Process], name: str, answers: Answers) -> Answers:
        """Let a case end in every process; note its group, and why it cannot be measured, if so."""
        for process, answer in zip(processes, answers, strict=True):
            if "ready" in answer:
                process.send(do="finish")
        ended = [
            process.answer() if "ready" in answer else dict(answer)
            for process, answer in zip(processes, answers, strict=True)
        ]
        function = name.split("[", maxsplit=1)[0]
        group = next((end["group"] for end in ended if end["group"]), "")
        self.families[name] = f"{function}, {group}" if group else function
        outcomes = {end["outcome"] for end in ended}
        if outcomes == {"left out"}:
            self._leave_out(name, ended[0]["reason"])
        elif outcomes != {"passed"}:
            self.failures[name] = next(
                f"in {process.name} it {end['reason']}"
                for process, end in zip(processes, ended, strict=True)
                if end["outcome"] != "passed"
            )
        elif lost := _lost_figures([end["figures"] for end in ended]):
            self.failures[name] = f"head no longer stores {' and '.join(lost)}"
        return ended

    def _keep(
        self, name: str, pair: Pair, ended: Answers, taken: Sequence[Sequence[float]]
    ) -> None:
        """Keep a case's pair, its seconds, and the figures that all versions stored."""
        self.pairs.setdefault(name, []).append(pair)
        versions = self.seconds.setdefault(name, [[] for _ in taken])
        for seconds, turn_seconds in zip(versions, taken, strict=True):
            seconds.append(statistics.median(turn_seconds))
        figures = [end["figures"] for end in ended]
        if all(LOSSES in stored for stored in figures):
            self.losses.setdefault(name, [stored[LOSSES] for stored in figures])
        if all(PEAK_MEMORY in stored for stored in figures):
            peaks = [stored[PEAK_MEMORY] for stored in figures]
            self.peak_bytes.setdefault(name, []).append(peaks)


def _lost_figures(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the figures that a process of the base stored and the head, the last, did not."""
    *base, head = figures
    return [
        name for name in (LOSSES, PEAK_MEMORY) if name not in head and any(name in f for f in base)
    ]
