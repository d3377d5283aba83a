"""Chooses the cases that a run measures, their order, and which are left out and why."""

from argparse import Namespace
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import bench
from bench import cases
from bench.report.tables import LeftOut
from bench.runs.case import verb_of
from bench.suite.forecast import Forecast
from bench.suite.workbench import Workbench
from bench.units import duration, listed
from mnist_mlp import engines
from mnist_mlp.errors import UserError
from mnist_mlp.memory import usable_cores
from mnist_mlp.task import Task

CASES = Path(bench.__file__).parent
# What a default run measures; other files are measured if they are named, or with --full.
QUESTION = ("test_step.py", "test_epoch.py", "test_convergence.py")
TIMED = ("step", "epoch")
MORE_SIZES = len(set(cases.ALL_BATCH_SIZES) - set(cases.BATCH_SIZES))
FULL = (
    f"--full adds {MORE_SIZES} batch sizes, the cases left out, every seed, and loading, threads, "
    "workers, alignment."
)


class Selection:
    """The cases that paths on the command line, --engines, --batch-sizes and --full choose."""

    def __init__(self, config: pytest.Config, own_task: Task | None) -> None:
        places = [config.invocation_params.dir / word.split("::")[0] for word in config.args]
        self._named = {place.resolve() for place in places if place.is_file()}
        self._options = config.option
        self._own_task = own_task  # the user's; None: the question's
        self.left_out: list[LeftOut] = []  # skipped cases, for the tables

    @property
    def is_default(self) -> bool:
        """Whether nothing but the question is measured, at the sizes of a default run."""
        asked = self._options.engines or self._options.batch_sizes or self._options.full
        return not (self._named or asked)

    def is_whole(self, file: Path) -> bool:
        """Whether a file is measured at all sizes."""
        return bool(self._options.full or self._options.engines or file.resolve() in self._named)

    def parametrize(self, metafunc: pytest.Metafunc) -> None:
        """Give a case its values; ids read name=value, the mark nearest to the function first.

        A parameter without values is None in one case, which `with_values` leaves out.
        """
        everything = self.is_whole(metafunc.definition.path)
        values = _values(self._options, self._own_task, everything=everything)
        for mark in metafunc.definition.iter_markers("each"):
            parameter, kind = mark.args
            metafunc.parametrize(parameter, values[kind] or [None], ids=(parameter + "={}").format)

    def ignores(self, file: Path) -> bool:
        """Whether a run of benchmarks does not even import a file."""
        if file.resolve() in self._named or file.suffix != ".py":
            return False
        is_axis = file.parent == CASES and file.name not in QUESTION
        is_test = any(CASES.parent / folder in file.parents for folder in ("tests", "duet"))
        return is_test or (is_axis and not self._options.full)

    def in_order(self, items: Sequence[pytest.Item]) -> list[pytest.Item]:
        """Put the question's own sizes first, unless paths give an order."""
        return list(items) if self._named else sorted(items, key=_place)

    def skip(
        self, items: Sequence[pytest.Item], workbench: Workbench, forecast: Forecast
    ) -> list[pytest.Item]:
        """Skip engines that cannot train, and epochs that are too long for a default run.

        Returns the cases that are left to measure.
        """
        measured = []
        why_missing = cache(workbench.missing)
        for item in items:
            given = parameters(item)
            engine, size = given.get("engine", ""), given.get("batch_size", 0)
            reason = why_missing(engine) if engine else ""
            long_verbs = ("epoch", "convergence") if self._own_task else ("epoch",)
            if self.is_default and verb(item) in long_verbs and not reason:
                reason = _no_time(engine, size, forecast, is_own=self._own_task is not None)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))
                if verb(item) in (*TIMED, "convergence"):
                    self.left_out.append(LeftOut(verb(item), engine, size, reason))
            elif not item.get_closest_marker("skip") and not any(
                all(mark.args) for mark in item.iter_markers("skipif")
            ):
                measured.append(item)
        return measured


def each(parameter: str, kind: str) -> pytest.MarkDecorator:
    """Mark a function that has one case per value of a kind, which is a key of `_values`."""
    return pytest.mark.each(parameter, kind)


def _values(
    options: Namespace, own_task: Task | None, *, everything: bool
) -> dict[str, Sequence[Any]]:
    """Return the values of each kind: everything, or what a default run measures."""
    sizes, training_sizes = cases.BATCH_SIZES, cases.CONVERGENCE_BATCH_SIZES
    if everything:
        sizes, training_sizes = cases.ALL_BATCH_SIZES, cases.ALL_CONVERGENCE_BATCH_SIZES
    training_engines: Sequence[str] = cases.CONVERGENCE_ENGINES
    if own_task:
        sizes = training_sizes = cases.sizes_up_to(len(own_task.train), sizes)
        training_engines = (engines.suited(own_task),)
    kinds = {name: engines.load(name) for name in options.engines or engines.ENGINES}
    single = options.engines or [name for name in kinds if not kinds[name].is_shared]
    resident = [name for name in single if kinds[name].is_resident]
    aligned = [name for name in resident if options.engines or name in cases.ALIGNMENT_ENGINES]
    groups = groups_of_workers(options)
    return {
        "engines": single,
        "resident engines": resident,
        "aligned engines": aligned,
        "training engines": options.engines or training_engines,
        "shared engines": [name for name in kinds if kinds[name].is_shared],
        "batch sizes": options.batch_sizes or sizes,
        "training batch sizes": options.batch_sizes or training_sizes,
        "worker batch sizes": options.batch_sizes or cases.WORKERS_BATCH_SIZES,
        "worker epoch batch sizes": options.batch_sizes or (cases.WORKERS_EPOCH_BATCH_SIZE,),
        "groups": groups,
        "exchanging groups": [group for group in groups if not group.startswith("1x")],
        "lr rules": options.lr_rules,
        "seeds": options.seeds,
    }


def fill_in(options: Namespace, own_task: Task | None) -> None:
    """Fill in missing options from the user's task, or from the question's.

    Raises:
        UserError: an option does not fit the task.

    """
    rate, target, rules = cases.LEARNING_RATE, cases.TARGET_ACCURACY, cases.LR_RULES
    if own_task:
        rate, rules = own_task.learning_rate, cases.OWN_TASK_LR_RULES
        target = own_task.with_target_accuracy(options.target_accuracy).target
    options.lr = options.lr or rate
    options.target_accuracy = options.target_accuracy or target
    options.lr_rules = options.lr_rules or rules


def groups_of_workers(options: Namespace) -> tuple[str, ...]:
    """Return groups of workers, as "WORKERSxTHREADS": each worker on its part of the cores.

    The first group is one worker with as many threads as each worker of the largest group.
    """
    counts = sorted(options.workers or cases.shares_of_cores())
    several = [f"{count}x{max(1, usable_cores() // count)}" for count in counts]
    fewest_threads = several[-1].partition("x")[2]
    return tuple(dict.fromkeys([f"1x{fewest_threads}", *several]))


def _no_time(engine: str, size: int, forecast: Forecast, *, is_own: bool) -> str:
    """Return why a default run leaves epochs out; empty if it does not."""
    if engine == cases.SLOW_ENGINE and not is_own:
        if size not in cases.SLOW_ENGINE_EPOCHS:
            sizes = listed(cases.SLOW_ENGINE_EPOCHS)
            return f"a default run times these epochs at {sizes} only"
    elif forecast.epoch_seconds(engine, size) > cases.MOST_EPOCH_SECONDS:
        most = duration(cases.MOST_EPOCH_SECONDS)
        return f"a default run leaves out epochs of more than {most}"
    return ""


def parameters(item: pytest.Item) -> dict[str, Any]:
    """Return a case's parameters by name."""
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


def verb(item: pytest.Item) -> str:
    """Return what a case times, as `verb_of` names it."""
    return verb_of(item.name)


def with_values(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Leave out the functions for which the options give a parameter no value.

    Raises:
        UserError: no case is left.

    """
    chosen, lacking = [], set()
    for item in items:
        missing = [name for name, value in parameters(item).items() if value is None]
        lacking |= {f"{item.nodeid.partition('[')[0]} has no {name}" for name in missing}
        if not missing:
            chosen.append(item)
    if lacking and not chosen:
        raise UserError(
            f"these options leave no case to measure, since {listed(sorted(lacking))}: change "
            "--engines or --workers"
        )
    return chosen


def _place(item: pytest.Item) -> tuple[int, int, int]:
    """Sort the question's own sizes first, then times of engines, time to target, and the rest."""
    timed, given = verb(item), parameters(item)
    if timed not in TIMED:
        return 2 if timed == "convergence" else 3, 0, 0
    size = given.get("batch_size", 0)
    if given.get("engine") == cases.SLOW_ENGINE and size in cases.QUESTION_BATCH_SIZES:
        return 0, size, TIMED.index(timed)
    return 1, 0, 0
