"""python -m bench sweet-spot: options to a search, a live line, tables and sentences."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from bench import cases
from bench.answer import sweet_spot
from bench.answer.sweet_spot import CAP, Candidate, Ending, Run, TimeUpError, Trial
from bench.answer.time_model import TOLERANCE, LawError
from bench.units import seconds
from mnist_mlp import arguments, cache
from mnist_mlp.learning_rate import RULES

if TYPE_CHECKING:
    from mnist_mlp.clock import Stopwatch
    from mnist_mlp.data import Data

HELP = "which batch size trains fastest to a target accuracy here?"
DESCRIPTION = """Train to the target at batch sizes around the square root of the training set, go
on where training is fastest, and stop early what is slower."""
TIME_LIMIT_SECONDS = 90
INTERRUPTED = 130


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    commands.add_parser("sweet-spot", parents=[parser()], help=HELP, description=DESCRIPTION)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(add_help=False)
    add = parser.add_argument
    add(
        "--engine",
        choices=cases.ENGINES,
        default=cases.CONVERGENCE_ENGINES[0],
        help="that trains (default: %(default)s)",
    )
    add(
        "--lr-rules",
        type=arguments.several(arguments.one_of("learning rate rule", tuple(RULES))),
        default=cases.LR_RULES,
        metavar="NAME,...",
        help=f"from batch size to learning rate: {', '.join(RULES)} "
        f"(default: {','.join(cases.LR_RULES)})",
    )
    add(
        "--lr",
        type=arguments.positive_number,
        default=cases.LEARNING_RATE,
        help="learning rate at batch size 1 (default: %(default)s)",
    )
    add(
        "--seeds",
        type=arguments.several(arguments.seed),
        default=cases.SEEDS,
        metavar="N,...",
        help="a run each of what is not clearly slower "
        f"(default: {','.join(map(str, cases.SEEDS))})",
    )
    add(
        "--target-accuracy",
        type=arguments.fraction,
        default=cases.TARGET_ACCURACY,
        help="of the test set, that training must reach (default: %(default)s)",
    )
    add(
        "--time-limit",
        type=arguments.positive_number,
        default=TIME_LIMIT_SECONDS,
        metavar="SECONDS",
        help="of the whole search, compiling and evaluating included (default: %(default)s)",
    )
    add(
        "--threads",
        type=arguments.threads,
        help="that torch computes with (default: torch's own)",
    )
    add("--device", type=arguments.device, default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    add("--data-root", type=Path, help="a data set in torchvision's layout instead of MNIST")
    add("--cache-dir", type=Path, help=f"for the unpacked MNIST (or set {cache.CACHE_VARIABLE})")
    parser.set_defaults(run=run)
    return parser


def main(words: Sequence[str]) -> int:
    """Do what the command line says; the exit code."""
    return run(parser().parse_args(words))


def run(options: argparse.Namespace) -> int:
    """Search, and say what was found: all of it, or what there is when it ends early."""
    started = time.monotonic()
    # torch takes seconds to import, and the other commands need none of it: here and below.
    from mnist_mlp import datasets, engines  # noqa: PLC0415

    console = Console(highlight=False)
    runs: list[Run] = []
    interrupted = False
    try:
        data = _prepare(options)
        _search(options, data, started + options.time_limit, runs, console)
    except KeyboardInterrupt:
        interrupted = True
    except (cache.CacheError, datasets.DataError, engines.CompilerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if runs:
        took_seconds = time.monotonic() - started
        answer = Answer(
            options=options, samples=len(data.train), runs=runs, took_seconds=took_seconds
        )
        for part in report(answer):
            console.print(part, soft_wrap=isinstance(part, str))
    if interrupted:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if not runs:
        sentence = f"no run ended within {options.time_limit:g} s: allow more with --time-limit"
        print(f"error: {sentence}", file=sys.stderr)
        return 1
    return 0


def _prepare(options: argparse.Namespace) -> "Data":
    import torch  # noqa: PLC0415

    from mnist_mlp import datasets  # noqa: PLC0415

    if options.device != "cpu":
        torch.cuda.set_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    data = datasets.load(
        data_root=options.data_root, cache_dir=options.cache_dir, device=options.device
    )
    print(
        f"{data.name}, {options.engine} engine, {options.device}, {torch.get_num_threads()} "
        f"threads: to test accuracy {options.target_accuracy:g} in at most {cases.MAX_EPOCHS} "
        f"epochs, {options.time_limit:g} s for the whole search",
        flush=True,
    )
    return data


def _search(
    options: argparse.Namespace, data: "Data", deadline: float, runs: list[Run], console: Console
) -> None:
    """Append each run as it ends, a line each; on a terminal, show how the current one goes."""
    with Progress(
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
        console=console,
        auto_refresh=False,  # a thread that redraws would disturb what is measured
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        trainer = _Trainer(options=options, data=data, deadline=deadline, progress=progress)
        for run in sweet_spot.search(
            trainer.train,
            lr_rules=options.lr_rules,
            seeds=options.seeds,
            samples=len(data.train),
            deadline=deadline,
        ):
            runs.append(run)
            progress.console.print(line(run), soft_wrap=True)


class _CappedError(Exception):
    """A run took longer than its cap."""


@dataclass(frozen=True, kw_only=True)
class _Trainer:
    """Trains as a trial says."""

    options: argparse.Namespace
    data: "Data"
    deadline: float  # by time.monotonic
    progress: Progress

    def train(self, trial: Trial) -> Run:
        """Compile what is needed, then train until the target, the cap or the last epoch."""
        import torch  # noqa: PLC0415

        from mnist_mlp import batches, clock, convergence, engines, model  # noqa: PLC0415

        self._show(f"{_name(trial)}: preparing")
        engine = engines.ENGINES[self.options.engine](
            model.MLP(seed=trial.seed).to(self.options.device),
            learning_rate=RULES[trial.lr_rule](self.options.lr, trial.batch_size),
        )
        prepare_seconds = engine.prepare(trial.batch_size)
        steps_per_epoch = batches.steps_per_epoch(len(self.data.train), trial.batch_size)
        watch = _Watch(
            trial=trial,
            target_accuracy=self.options.target_accuracy,
            deadline=self.deadline,
            grid=convergence.evaluation_steps(steps_per_epoch, max_epochs=cases.MAX_EPOCHS),
            clock=clock.stopwatch,
            show=self._show,
            started=clock.stopwatch(),
        )
        try:
            found = convergence.train_until(
                engine,
                self.data,
                trial.batch_size,
                target_accuracy=self.options.target_accuracy,
                max_epochs=cases.MAX_EPOCHS,
                generator=torch.Generator().manual_seed(trial.seed),
                watch=watch,
            )
        except _CappedError:
            return watch.capped(prepare_seconds)
        missed = Ending.DIVERGED if found.diverged else Ending.MISSED
        return Run(
            trial=trial,
            prepare_seconds=prepare_seconds,
            train_seconds=found.train_seconds,
            steps=found.steps,
            test_accuracy=found.test_accuracy,
            ending=Ending.REACHED if found.reached else missed,
        )

    def _show(self, text: str) -> None:
        """Draw the live line, beside a bar of the time that is spent."""
        task = next(iter(self.progress.task_ids), None)
        if task is None:
            task = self.progress.add_task("", total=self.options.time_limit)
        spent = self.options.time_limit - (self.deadline - time.monotonic())
        self.progress.update(task, description=text, completed=spent, refresh=True)


@dataclass(kw_only=True)
class _Watch:
    """Told of each evaluation, while the training clock stands still: shows it, ends the run."""

    trial: Trial
    target_accuracy: float
    deadline: float
    grid: Iterator[int]  # steps of each evaluation
    clock: "Stopwatch"
    show: Callable[[str], None]
    started: float  # by the clock
    steps: int = 0
    test_accuracy: float = 0.0

    def __call__(self, epochs: float, accuracy: float) -> None:
        self.steps, self.test_accuracy = next(self.grid), accuracy
        self.show(f"{_name(self.trial)}: epoch {epochs:.2f}, test accuracy {accuracy:.3f}")
        if accuracy >= self.target_accuracy:
            return
        if time.monotonic() >= self.deadline:
            raise TimeUpError
        if self.clock() - self.started > self.trial.cap_seconds:
            raise _CappedError

    def capped(self, prepare_seconds: float) -> Run:
        """The run that was ended."""
        return Run(
            trial=self.trial,
            prepare_seconds=prepare_seconds,
            train_seconds=self.clock() - self.started,
            steps=self.steps,
            test_accuracy=self.test_accuracy,
            ending=Ending.CAPPED,
        )


def _name(trial: Trial) -> str:
    return f"{trial.lr_rule}, batch size {trial.batch_size}, seed {trial.seed}"


def line(run: Run) -> str:
    """A run in words."""
    spent = f"{seconds(run.train_seconds)}, {run.steps:,} steps"
    how = {
        Ending.REACHED: "reached",
        Ending.CAPPED: f"stopped at {CAP:g} times the best, at",
        Ending.MISSED: f"stopped after {cases.MAX_EPOCHS} epochs, at",
        Ending.DIVERGED: "diverged, at",
    }
    return f"{_name(run.trial)}: {how[run.ending]} {run.test_accuracy:.4f} in {spent}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All that a search found."""

    options: argparse.Namespace
    samples: int  # of the training set
    runs: Sequence[Run]
    took_seconds: float

    @cached_property
    def found(self) -> dict[str, list[Candidate]]:
        """What ran with each rule."""
        rules = dict.fromkeys(run.trial.lr_rule for run in self.runs)
        return {
            rule: sweet_spot.candidates(run for run in self.runs if run.trial.lr_rule == rule)
            for rule in rules
        }


def report(answer: Answer) -> Iterator[Table | str]:
    """A table and sentences a rule, then what is to say over all."""
    for rule in answer.found:
        yield ""
        yield table(answer.found[rule], lr_rule=rule, rate=answer.options.lr)
        yield from _of_rule(answer, rule)
    yield ""
    yield from _over_all(answer)
    yield _effort(answer)


def table(found: Sequence[Candidate], *, lr_rule: str, rate: float) -> Table:
    """A row a batch size."""
    first = sweet_spot.best(found)
    table = Table(title=f"{lr_rule} learning rate", title_justify="left", title_style="bold")
    for heading in ("batch size", "rate", "reached", "median", "seeds", "steps"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for one in found:
        mark = "alike" if sweet_spot.overlap(one, first) else ""
        table.add_row(
            f"{one.batch_size}",
            f"{RULES[lr_rule](rate, one.batch_size):.3g}",
            f"{one.reached} of {len(one.runs)}",
            _median(one),
            _spread(one),
            _at_least(f"{statistics.median(run.steps for run in one.runs):,.0f}", one.is_censored),
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
    """The fastest, who else may be, and what theory and the rule of thumb say."""
    found, target = answer.found[rule], f"test accuracy {answer.options.target_accuracy:g}"
    first = sweet_spot.best(found)
    if not first.reached:
        nearest = f"{first.batch_size} came nearest, with {first.test_accuracy:.4f}"
        yield f"No batch size reached {target}: {nearest}."
        return
    yield f"Batch size {first.batch_size} is fastest: {_median(first)} to {target}."
    if others := [str(one.batch_size) for one in found if sweet_spot.overlap(one, first)]:
        yield f"Seeds' times overlap, so that it can't be told from {', '.join(others)}."
    if len(first.runs) == 1:
        yield "It ran with one seed, which does not tell how far others differ."
    yield _predicted(answer.runs, rule)
    yield from _thumb(found, answer.samples)


def _predicted(runs: Sequence[Run], rule: str) -> str:
    """What the laws say."""
    try:
        predicted = sweet_spot.predict(runs, rule)
    except LawError as error:
        return f"No prediction: {error}."
    size, misfit = predicted.batch_size, predicted.largest_misfit
    off = f", which are off by up to {misfit:.0%}," if misfit > TOLERANCE else ""
    return (
        f"The laws of step time and of steps to target{off} predict {size.value:,.0f} "
        f"({size.low:,.0f} to {size.high:,.0f})."
    )


def _thumb(found: Sequence[Candidate], samples: int) -> Iterator[str]:
    """What the rule of thumb costs, where its size ran."""
    first, picked = sweet_spot.best(found), sweet_spot.rule_of_thumb(samples)
    said = f"The rule of thumb, the power of two nearest to sqrt({samples}), picks"
    for one in found:
        if one is first and one.batch_size == picked:
            yield f"{said} it, too."
        elif one.batch_size == picked:
            least, times = "more than " * one.is_censored, one.spent_seconds / first.spent_seconds
            yield f"{said} {picked}: {least}{times:.2g} times as long."


def _over_all(answer: Answer) -> Iterator[str]:
    """Which rule won, where several ran."""
    firsts = {rule: sweet_spot.best(found) for rule, found in answer.found.items()}
    order = sorted(firsts, key=lambda rule: (not firsts[rule].reached, firsts[rule].spent_seconds))
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
            times = f"{first.spent_seconds / won.spent_seconds:.2g} times as long"
            doubt = ", though their seeds' times overlap" * sweet_spot.overlap(first, won)
            yield f"The {rule} learning rate takes {times}, at {first.batch_size}{doubt}."


def _effort(answer: Answer) -> str:
    """How long it took, and for which rules it was not long enough."""
    compiling = sum(run.prepare_seconds for run in answer.runs)
    took = f"The search took {answer.took_seconds:.0f} s, {compiling:.0f} s of it to compile"
    seeds, samples = answer.options.seeds, answer.samples
    cut = [
        rule
        for rule in answer.options.lr_rules
        if sweet_spot.next_trial(
            answer.found.get(rule, ()), lr_rule=rule, seeds=seeds, samples=samples
        )
    ]
    return f"{took}, and ended with more to run for {' and '.join(cut)}." if cut else f"{took}."
