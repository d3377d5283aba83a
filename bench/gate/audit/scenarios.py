"""Gates whose right answer is known: identical code, or slowdowns planted in a copy of it."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.gate import UsageError
from bench.gate.audit import record
from bench.gate.command import default_arguments
from bench.gate.company import Version
from bench.gate.comparison import compare

COPIED = ("src", "bench", "conftest.py", "pyproject.toml")
TRAINING = "src/mnist_mlp/training.py"
STEP_CALL = "return engine.step(images, labels)"
EPOCH_CALL = "return _finish_epoch(Walk(engine, split, batch_size, generator=generator))"
# Where slowdowns are planted, all at once: steps of an engine at a batch size, and all its epochs.
SLOWED_STEPS = (("eager", 1), ("native", 64), ("eager", 1024))
SLOWED_EPOCHS = "eager"
SLOWED = (
    *(
        f"bench/test_step.py::test_step[engine={engine}-batch_size={batch_size}]"
        for engine, batch_size in SLOWED_STEPS
    ),
    f"bench/test_epoch.py::test_epoch, {SLOWED_EPOCHS}",
)


def edits(share: float) -> dict[str, str]:
    """Code and what replaces it, so that some steps and epochs take longer by a share."""
    return {
        STEP_CALL: _slowed(STEP_CALL, share, f"(engine.name, len(labels)) in {SLOWED_STEPS}"),
        EPOCH_CALL: _slowed(EPOCH_CALL, share, f'engine.name == "{SLOWED_EPOCHS}"'),
    }


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


@contextmanager
def planted(tree: Path, edited: Mapping[str, str]) -> Iterator[Path]:
    """A copy of what a gate runs of `tree`, its training code edited; removed afterwards.

    Raises:
        UsageError: an edit does not fit.

    """
    with tempfile.TemporaryDirectory(prefix="gate-planted-") as folder:
        copy = Path(folder).resolve() / "head"
        for name in COPIED:
            if (tree / name).is_dir():
                shutil.copytree(tree / name, copy / name)
            else:
                shutil.copy(tree / name, copy / name)
        source = (copy / TRAINING).read_text()
        for old, new in edited.items():
            if source.count(old) != 1:
                raise UsageError(f"{TRAINING} has {old!r} not once: adapt what is planted")
            source = source.replace(old, new)
        (copy / TRAINING).write_text(source)
        yield copy


def run(slowdown: float, tree: Path) -> dict[str, Any]:
    """Run one real gate on identical code, or on a planted slowdown; return its line."""
    with ExitStack() as stack:
        base = stack.enter_context(planted(tree, edits(0.0))) if slowdown else tree
        head = stack.enter_context(planted(tree, edits(slowdown) if slowdown else {}))
        result = compare(
            Version(name="base", tree=base, python=sys.executable),
            Version(name="head", tree=head, python=sys.executable),
            arguments=default_arguments(tree),
        )
    return record.line_of(result, tree, slowdown=slowdown, slowed=SLOWED if slowdown else ())
