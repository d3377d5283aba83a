"""Gates whose right answer is known: identical code, or slowdowns planted in a copy of it."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.gate import IncomparableError, Options, UsageError, result, revision
from bench.gate.audit import record
from bench.gate.audit.record import Line
from bench.gate.comparison import compare, default_arguments
from bench.gate.processes import Version
from bench.gate.result import ExitCode

COPIED = ("src", "bench", "conftest.py", "pyproject.toml")
TRAINING = "src/mnist_mlp/training.py"
STEP_CALL = "return engine.step(inputs, targets)"
EPOCH_CALL = "return _finish_epoch(Walk(engine, split, batch_size, generator=generator))"
# Where slowdowns are planted, all at once: steps of an engine at a batch size, and all its epochs.
SLOWED_STEPS = (("eager", 1), ("native", 64), ("eager", 1024))
SLOWED_EPOCHS = "eager"
IS_SLOWED_STEP = f"(engine.name, len(targets)) in {SLOWED_STEPS}"
IS_SLOWED_EPOCH = f"engine.name == {SLOWED_EPOCHS!r}"
SLOWED = (
    *(
        f"bench/test_step.py::test_step[engine={engine}-batch_size={batch_size}]"
        for engine, batch_size in SLOWED_STEPS
    ),
    f"bench/test_epoch.py::test_epoch, {SLOWED_EPOCHS}",
)


def run(options: argparse.Namespace) -> ExitCode:
    """Run the gates, or read a record of some, and print the rates."""
    try:
        if options.read:
            result.show(record.as_text(record.read(options.read)))
        else:
            _audit(options)
    except (IncomparableError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USAGE
    return ExitCode.OK


def _audit(options: argparse.Namespace) -> None:
    tree = revision.root(Path.cwd())
    gates: list[Line] = []
    if options.record and options.record.exists() and options.record.stat().st_size:
        record.read(options.record)  # nothing is appended to what is no record
    try:
        for trial in range(options.trials):
            for slowdown in options.slowdowns:
                line = _gate(slowdown, tree)
                gates.append(line)
                print(f"trial {trial + 1}: {_describe(line)}", file=sys.stderr, flush=True)
                if options.record:
                    record.append(options.record, line)
    finally:  # Ctrl-C keeps what is there
        result.show(record.as_text(gates))


def _gate(slowdown: float, tree: Path) -> Line:
    """Run one real gate on identical code, or on a planted slowdown; return its line."""
    with ExitStack() as stack:
        base = stack.enter_context(planted(tree, 0.0)) if slowdown else tree
        head = stack.enter_context(planted(tree, slowdown or None))
        finished = compare(
            Version(name="base", tree=base, python=sys.executable),
            Version(name="head", tree=head, python=sys.executable),
            default_arguments(tree),
            Options(),
        )
    slowed = SLOWED if slowdown else ()
    return record.line_of(finished, tree, slowdown=slowdown, slowed=slowed)


def _describe(line: Line) -> str:
    verdicts = [f"{name} {verdict}" for name, verdict in line["verdicts"].items()]
    return "; ".join([line["scenario"], f"{line['took_seconds']:.0f} s", *verdicts])


@contextmanager
def planted(tree: Path, share: float | None) -> Iterator[Path]:
    """A copy of what a gate runs, steps and epochs slower by a share if any; removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="gate-planted-") as folder:
        copy = Path(folder).resolve() / "head"
        for name in COPIED:
            if (tree / name).is_dir():
                shutil.copytree(tree / name, copy / name)
            else:
                shutil.copy(tree / name, copy / name)
        if share is not None:
            file = copy / TRAINING
            source = _with_slowed(file.read_text(), STEP_CALL, share, IS_SLOWED_STEP)
            file.write_text(_with_slowed(source, EPOCH_CALL, share, IS_SLOWED_EPOCH))
        yield copy


def _with_slowed(source: str, call: str, share: float, condition: str) -> str:
    if source.count(call) != 1:
        raise UsageError(f"{TRAINING} has {call!r} not once: adapt what is planted")
    return source.replace(call, _slowed(call, share, condition))


def _slowed(call: str, share: float, condition: str) -> str:
    # The base gets the same edit with a share of 0. What costs something in it stands before the
    # wait, where it slows both: within, it would be part of the head's wait alone.
    lines = (
        "import time",
        "started = time.perf_counter()",
        f"is_slowed = {condition}",
        call.replace("return", "result ="),
        "ended = time.perf_counter()",
        f"until = ended + {share} * (ended - started)",
        "while is_slowed and time.perf_counter() < until:",
        "    pass",
        "return result",
    )
    return "\n    ".join(lines)
