"""One gate's measurement: pairs of cases from real processes, and what else they tell."""

import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bench.gate import pair_tests, stages, turns
from bench.gate.company import Company, Process, Version, WorkerError
from bench.gate.gate_worker.channel import LOSSES, PEAK_MEMORY
from bench.gate.pair_tests import Pair
from bench.gate.stages import Measure, Tell
from bench.gate.turns import TooLongError
from bench.gate.verdict import Evidence


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
    seconds: dict[str, list[list[float]]] = field(default_factory=dict)
    peak_bytes: dict[str, list[list[int]]] = field(default_factory=dict)
    losses: dict[str, list[list[float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def rehearse(self, company: Company, processes: Sequence[Process]) -> bool:
        """Run each case once in base and head, before any time counts.

        What a first call compiles or loads for all later ones is there then, and cases that cannot
        be measured are known.

        Args:
            company: to take fresh processes from, where a case does not leave its own usable.
            processes: to begin with, one of each.

        Returns:
            Whether these processes ran every case, and can be asked for more.

        """
        base, _, head = self.versions
        waiting = self._waiting(list(self.families))
        self.tell(f"rehearsing {len(waiting)} cases")
        is_usable = self._run_in(processes, waiting, self._rehearse_case) and not waiting
        self._each_case(company, (base, head), waiting, self._rehearse_case)
        return is_usable

    def run(self, new_company: Callable[[], Company], *, margin: float) -> Evidence:
        """Measure until every case and family has what its judgement needs."""
        new_stage = partial(self._stage, new_company)
        found = stages.run(new_stage, self.families, margin=margin, tell=self.tell)
        unjudged = self.failures.keys() | self.left_out.keys()
        return replace(
            found,
            screen={name: pairs for name, pairs in found.screen.items() if name not in unjudged},
            confirm={name: pairs for name, pairs in found.confirm.items() if name not in unjudged},
            seconds=self.seconds,
            peak_bytes=self.peak_bytes,
            losses=self.losses,
            failures=self.failures,
            left_out=self.left_out,
        )

    def _waiting(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self.failures | self.left_out]

    @contextmanager
    def _stage(self, new_company: Callable[[], Company]) -> Iterator[Measure]:
        """Measure pairs with a server of their own."""
        with new_company() as company:
            yield partial(self._pair, company)

    def _rehearse_case(self, processes: Sequence[Process], name: str) -> bool:
        answers = [process.answer() for process in processes]
        return all(end["usable"] for end in self._end_case(processes, name, answers))

    def _pair(self, company: Company, names: Sequence[str]) -> dict[str, Pair]:
        """One pair of each case that can be measured, from fresh processes."""
        pairs: dict[str, Pair] = {}
        take = partial(self._take_case, pairs)
        self._each_case(company, self.versions, names, take, cores=self.cores)
        return {name: pair for name, pair in pairs.items() if name not in self.failures}

    def _each_case(
        self,
        company: Company,
        versions: Sequence[Version],
        names: Sequence[str],
        act: Callable[[Sequence[Process], str], bool],
        *,
        cores: Sequence[int] = (),
    ) -> None:
        """Do something with each case that can be measured, in fresh processes as often as due."""
        waiting = self._waiting(names)
        while waiting:
            try:
                with company.fresh(versions, self.rng) as processes:
                    self._run_in(processes, waiting, act, cores=cores)
            except WorkerError as error:  # one does not start
                self.failures[waiting.pop(0)] = str(error)

    def _run_in(
        self,
        processes: Sequence[Process],
        waiting: list[str],
        act: Callable[[Sequence[Process], str], bool],
        *,
        cores: Sequence[int] = (),
    ) -> bool:
        """Do something with the cases that wait, until one leaves these processes unusable.

        A case that its process does not survive is named as a failure. Where `act` returns False,
        no other case may follow in these processes.

        Returns:
            Whether the processes live. The cases that were done no longer wait.

        """
        try:
            for process in self.rng.sample(processes, len(processes)):
                process.send(do="run", cases=waiting, cores=list(cores))
            goes_on = True
            while waiting and goes_on:
                goes_on = act(processes, waiting[0])
                waiting.pop(0)
        except WorkerError as error:
            self.failures[waiting.pop(0)] = str(error)
            return False
        return True

    def _take_case(self, pairs: dict[str, Pair], processes: Sequence[Process], name: str) -> bool:
        """Measure one case; return whether the next may follow in the same processes."""
        answers = [process.answer() for process in processes]
        taken = None
        if all("ready" in answer for answer in answers):
            try:
                taken = turns.take(processes, self.rng, seconds_per_case=self.seconds_per_case)
            except TooLongError as error:
                self.left_out[name] = str(error)
        ended = self._end_case(processes, name, answers)
        if taken and name not in self.failures | self.left_out:
            self._keep(name, ended, taken)
            pairs[name] = pair_tests.pair_of(taken)
        return all(end["usable"] for end in ended)

    def _end_case(
        self, processes: Sequence[Process], name: str, answers: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
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
            self.left_out[name] = ended[0]["reason"]
        elif outcomes != {"passed"}:
            self.failures[name] = next(
                f"in {process.name} it {end['reason']}"
                for process, end in zip(processes, ended, strict=True)
                if end["outcome"] != "passed"
            )
        return ended

    def _keep(
        self, name: str, ended: Sequence[Mapping[str, Any]], taken: Sequence[Sequence[float]]
    ) -> None:
        """Keep a case's seconds, and the figures that all versions stored."""
        versions = self.seconds.setdefault(name, [[] for _ in taken])
        for seconds, turn_seconds in zip(versions, taken, strict=True):
            seconds.append(statistics.median(turn_seconds))
        with suppress(KeyError):
            self.losses.setdefault(name, [end["figures"][LOSSES] for end in ended])
        with suppress(KeyError):
            peaks = [end["figures"][PEAK_MEMORY] for end in ended]
            self.peak_bytes.setdefault(name, []).append(peaks)
