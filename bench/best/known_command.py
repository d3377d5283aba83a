"""Which batch size trains fastest: known steps times seconds that are measured here.

Trainings at that size then check the prediction, with seeds that had no part in the choice.
"""

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from bench import cases
from bench.best import prediction, trial
from bench.best.prediction import Trained
from bench.best.progress import progress_line
from bench.best.reference import Reference
from bench.laws import time_to_target
from bench.laws.time_to_target import StepBounds, TimeToTarget
from bench.measure import step_time
from bench.measure.step_time import Setting, StepSeconds, Subject
from bench.units import counted
from mnist_mlp import atomic, device, engines, memory
from mnist_mlp.clock import stopwatch
from mnist_mlp.task import Task
from mnist_mlp.task_source import Source
from mnist_mlp.training import Walk

SECONDS = 4.0  # measuring time per engine
PROCESSES = 3
CONFIRMING_SEEDS = range(200, 205)  # the reference has other seeds
BUDGET = 3.0  # largest multiple of the expected steps
EARLIEST = 0.5  # share of the expected steps before which no training reaches its target


def run(options: argparse.Namespace) -> int:
    """Predict, train at the best batch sizes, print each engine's answer, and draw them."""
    reference, target = Reference.shipped(), options.target_accuracy or cases.TARGET_ACCURACY
    names, source = options.engines or cases.CONVERGENCE_ENGINES, Source.of(options)
    bounds, rates = reference.bounds(target), reference.rates(target)
    device.use(options.device)
    threads = options.threads or torch.get_num_threads()
    with device.threads(threads):
        task = replace(source.load(), target=target)
        goal = f"{task.score_name} {target:g}"
        print(f"{task.name}, {options.device}, {counted(threads, 'thread')}: to {goal}")
        print(reference.source(target), flush=True)
        if not options.force:
            require_memory()
        setting = Setting(threads=threads, source=source)
        predicted, checks = predict(names, bounds, task, setting, rates=rates)
    for engine, times in predicted.items():
        lines = prediction.lines(
            times,
            checks[engine],
            engine=engine,
            target=target,
            rates=rates,
            samples=len(task.train),
        )
        print("", *lines, sep="\n")
    if options.figure:
        draw(options.figure, predicted, checks, goal)
    if options.json:
        answers = {name: prediction.as_json(times) for name, times in predicted.items()}
        atomic.write({options.json: json.dumps({"answers": answers}, indent=1).encode()})
    return 0


def predict(
    names: Sequence[str],
    bounds: StepBounds,
    task: Task,
    setting: Setting,
    *,
    rates: Mapping[int, float],
) -> tuple[dict[str, TimeToTarget], dict[str, Trained]]:
    """Return each engine's predicted times, and the trainings that check them.

    The trainings are made between the turns, so that both see the machine in the same minute.
    """
    checks: dict[str, Trained] = {}
    with progress_line() as tell:

        def check(timed: StepSeconds) -> None:
            for engine, times in combined(names, bounds, timed).items():
                checks[engine] = train(engine, times, task, rates=rates, tell=tell)

        timed = step_time.measure(
            [Subject(engine=engine, batch_size=size) for engine in names for size in bounds],
            setting,
            seconds=SECONDS * len(names),
            processes=PROCESSES,
            tell=tell,
            meanwhile=check,
        )
    return combined(names, bounds, timed), checks


def draw(
    file: Path, predicted: Mapping[str, TimeToTarget], checks: Mapping[str, Trained], goal: str
) -> None:
    """Draw the predicted times as curves, and the trainings as marks."""
    from bench.best import figure  # noqa: PLC0415 - altair takes a second to import

    curves = {engine: times.seconds for engine, times in predicted.items()}
    marks = [
        (engine, trained.batch_size, seconds)
        for engine, trained in checks.items()
        for seconds in trained.run_seconds
    ]
    figure.draw(file, "engine", curves, marks, goal=goal)


def require_memory() -> None:
    """Raise an error if memory does not suffice for the measuring processes."""
    memory.require(
        PROCESSES * memory.own_bytes(),
        f"measuring in {PROCESSES} processes beside this one",
        instead="close other programs, or add --force",
    )


def combined(
    names: Sequence[str], bounds: StepBounds, timed: StepSeconds
) -> dict[str, TimeToTarget]:
    """Return each engine's predicted times to the target."""
    return {
        engine: time_to_target.combine(
            bounds, {size: timed[Subject(engine=engine, batch_size=size)] for size in bounds}
        )
        for engine in names
    }


def train(
    engine: str,
    predicted: TimeToTarget,
    task: Task,
    *,
    rates: Mapping[int, float],
    tell: Callable[[str], object],
) -> Trained:
    """With each seed, train to the target at the best batch size, then time it once more.

    The seconds are those of the second trainings; infinite if the first missed the target.

    The second training takes as many steps without a pause. An evaluation also slows the steps
    after it: it empties the caches of what they use, and the engine's threads start again.
    """
    best, spent = predicted.best, []
    expected = float(predicted.steps[predicted.batch_sizes.index(best)])

    def new_walk(seed: int) -> Walk:
        subject = engines.new(engine, task, seed=seed, learning_rate=rates[best])
        return Walk(subject, task.train, best, generator=torch.Generator().manual_seed(seed))

    for seed in CONFIRMING_SEEDS:
        tell(f"{engine}: training at batch size {best}, seed {seed}")
        outcome = trial.to_target(
            new_walk(seed),
            task.test,
            task.target,
            budget=round(BUDGET * expected),
            first=round(EARLIEST * expected),
        )
        again = new_walk(seed)
        started = stopwatch()
        if outcome and outcome.reached:
            again.advance(outcome.steps)
        spent.append(stopwatch() - started if outcome and outcome.reached else math.inf)
    return Trained(best, spent)
