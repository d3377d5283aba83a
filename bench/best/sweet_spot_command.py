"""Which batch size trains fastest: steps that are known times seconds that are measured here.

Then it is trained there, with seeds that had no part in the choice.
"""

import argparse
import math
from collections.abc import Callable, Mapping

import torch

from bench.best import figure, prediction, trial
from bench.best.progress import progress_line
from bench.best.reference import Reference
from bench.laws import time_to_target
from bench.laws.time_to_target import StepBounds, TimeToTarget
from bench.measure import step_time
from bench.measure.step_time import Setting, Subject
from mnist_mlp import datasets, device, engines, memory
from mnist_mlp.clock import stopwatch
from mnist_mlp.data import Data
from mnist_mlp.errors import UserError
from mnist_mlp.model import MLP
from mnist_mlp.training import Walk

SECONDS = 4.0  # of measuring, per engine
PROCESSES = 3
CONFIRMING_SEEDS = range(200, 205)  # the reference has others
BUDGET = 3.0  # times the steps that are expected
EARLIEST = 0.5  # of the steps that are expected: no training reaches its target earlier


def run(options: argparse.Namespace) -> int:
    """Predict, train at the best batch sizes, print each engine's answer, and draw them."""
    reference, target = Reference.shipped(), options.target_accuracy
    rates = reference.rates(target)
    device.use(options.device)
    threads = options.threads or torch.get_num_threads()
    with device.threads(threads):
        data = datasets.load(
            data_root=options.data_root, cache_dir=options.cache_dir, device=options.device
        )
        if data.name != reference.study["data"]:
            raise UserError(
                f"steps to a target are known for {reference.study['data']}, not for {data.name}: "
                "race whole trainings with --search"
            )
        print(f"{data.name}, {options.device}, {threads} threads: to test accuracy {target:g}")
        print(reference.source(target), flush=True)
        with progress_line() as tell:
            predicted = predict(options, reference.bounds(target), threads, tell)
            spent = {
                engine: train(engine, times, data, rates=rates, target=target, tell=tell)
                for engine, times in predicted.items()
            }
    for engine, times in predicted.items():
        lines = prediction.lines(
            times,
            spent[engine],
            engine=engine,
            target=target,
            rates=rates,
            samples=len(data.train),
        )
        print("", *lines, sep="\n")
    if options.figure:
        curves = {engine: times.seconds for engine, times in predicted.items()}
        marks = [
            (engine, predicted[engine].best, seconds)
            for engine, of_seeds in spent.items()
            for seconds in of_seeds
        ]
        figure.draw(options.figure, "engine", curves, marks, target=target)
    return 0


def predict(
    options: argparse.Namespace, bounds: StepBounds, threads: int, tell: Callable[[str], object]
) -> dict[str, TimeToTarget]:
    """Time each engine's steps at each batch size, and return its predicted times to the target."""
    if not options.force:
        memory.require(
            PROCESSES * memory.own_bytes(),
            f"measuring in {PROCESSES} processes beside this one",
            instead="close other programs, or add --force",
        )
    timed = step_time.measure(
        [Subject(engine=engine, batch_size=size) for engine in options.engines for size in bounds],
        Setting(
            threads=threads,
            device=options.device,
            data_root=options.data_root,
            cache_dir=options.cache_dir,
        ),
        seconds=SECONDS * len(options.engines),
        processes=PROCESSES,
        tell=tell,
    )
    return {
        engine: time_to_target.combine(
            bounds, {size: timed[Subject(engine=engine, batch_size=size)] for size in bounds}
        )
        for engine in options.engines
    }


def train(
    engine: str,
    predicted: TimeToTarget,
    data: Data,
    *,
    rates: Mapping[int, float],
    target: float,
    tell: Callable[[str], object],
) -> list[float]:
    """With each seed, train to the target at the best batch size, then time it once more.

    Returns the seconds of the second trainings; infinite where the first missed the target.

    The second training takes as many steps without a pause. An evaluation also slows the steps
    after it: it empties the caches of what they use, and the engine's threads start again.
    """
    best, spent = predicted.best, []
    expected = float(predicted.steps[predicted.batch_sizes.index(best)])

    def new_walk(seed: int) -> Walk:
        network = MLP(seed=seed).to(data.train.images.device)
        new_engine = engines.load(engine)(network, learning_rate=rates[best])
        return trial.new_walk(new_engine, data.train, best, seed=seed)

    for seed in CONFIRMING_SEEDS:
        tell(f"{engine}: training at batch size {best}, seed {seed}")
        outcome = trial.to_targets(
            new_walk(seed),
            data.test,
            (target,),
            most_steps=round(BUDGET * expected),
            first=round(EARLIEST * expected),
        )
        again = new_walk(seed)
        started = stopwatch()
        if outcome.bounds:
            again.advance(outcome.steps)
        spent.append(stopwatch() - started if outcome.bounds else math.inf)
    return spent
