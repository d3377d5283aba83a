"""What python -m bench sweet-spot --search does: race, and print the answer."""

import argparse
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bench.best import race, trainer
from bench.best.findings import Answer, line, report
from bench.best.race import TimeUpError, TrialResult
from bench.best.sweet_spot import CONFIRMING_SEEDS
from bench.best.trainer import Trainer
from bench.report.printing import show


def run(options: argparse.Namespace) -> int:
    """Search, and print the answer: all of it, or what there is when the search ends early."""
    started = time.monotonic()
    console = Console(highlight=False)
    runs: list[TrialResult] = []
    confirming: list[TrialResult] = []
    interrupted, obstacle = False, ""
    try:
        data = trainer.prepare(options)
        with _progress(console) as progress:
            deadline = started + options.time_limit
            by = Trainer(options=options, data=data, deadline=deadline, progress=progress)
            _search(by, runs)
            _confirm(by, runs, confirming)
    except KeyboardInterrupt:
        interrupted = True
    except trainer.OBSTACLES as error:
        obstacle = str(error)
    if runs:
        took_seconds = time.monotonic() - started
        answer = Answer(
            options=options,
            samples=len(data.train),
            runs=runs,
            confirming=confirming,
            took_seconds=took_seconds,
        )
        show(report(answer), console)
    if interrupted:
        raise KeyboardInterrupt  # what there is has been printed
    if obstacle:
        print(f"error: {obstacle}", file=sys.stderr)
        return 1
    if not runs:
        sentence = f"no run ended within {options.time_limit:g} s: allow more with --time-limit"
        print(f"error: {sentence}", file=sys.stderr)
        return 1
    return 0


def _progress(console: Console) -> Progress:
    """On a terminal, a live line that shows how the current run goes."""
    return Progress(
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
        console=console,
        auto_refresh=False,  # a thread that redraws would disturb what is measured
        transient=True,
        disable=not console.is_terminal,
    )


def _search(trainer: Trainer, runs: list[TrialResult]) -> None:
    """Append and print each run as it ends."""
    for run in race.search(
        trainer.train,
        lr_rules=trainer.options.lr_rules,
        seeds=trainer.options.seeds,
        samples=len(trainer.data.train),
        deadline=trainer.deadline,
    ):
        runs.append(run)
        text = line(run, max_epochs=trainer.options.max_epochs)
        trainer.progress.console.print(text, soft_wrap=True)


def _confirm(trainer: Trainer, runs: list[TrialResult], confirming: list[TrialResult]) -> None:
    """Train the winner again, as long as there is time, with seeds that had no part in choosing."""
    for trial in race.confirming(runs, seeds=CONFIRMING_SEEDS):
        try:
            confirming.append(trainer.train(trial))
        except TimeUpError:
            return
