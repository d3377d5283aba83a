"""Slowdowns and slips to plant in a copy of the code, so that a gate can be seen to catch them."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ENGINE = "src/mnist_mlp/engines/engine.py"
EAGER = "src/mnist_mlp/engines/eager.py"
LOADER = "src/mnist_mlp/engines/loader.py"
TRAINING = "src/mnist_mlp/training.py"
MODEL = "src/mnist_mlp/model.py"
COPIED = ("src", "bench", "conftest.py", "pyproject.toml")


class PlantError(Exception):
    """The code has changed so that an edit no longer fits."""


@dataclass(frozen=True, kw_only=True)
class Plant:
    """One edit: in `file`, `old` becomes `new`."""

    file: str
    old: str
    new: str
    arguments: tuple[str, ...] = ()  # pytest's that it shows in, if not the gate's own


SLIPS = {
    "item each step": Plant(
        file=ENGINE,
        old="losses += [self.step(*batch) for batch",
        new="losses += [torch.tensor(self.step(*batch).item()) for batch",
    ),
    "zero_grad(set_to_none=False)": Plant(
        file=LOADER,
        old="self.optimizer.zero_grad()",
        new="self.optimizer.zero_grad(set_to_none=False)",
        arguments=("bench/test_step.py", "--engines=loader", "--batch-sizes=1,16"),
    ),
    "float64 upcast": Plant(
        file=MODEL,
        old="torch.sigmoid(self.hidden(images))",
        new="torch.sigmoid(self.hidden(images).double()).float()",
    ),
    "dataset copied each epoch": Plant(
        file=ENGINE,
        old="        losses = []\n        for samples in order",
        new="        losses = []\n"
        "        split = Split(\n"
        "            images=split.images.clone(),\n"
        "            labels=split.labels,\n"
        "            new_dataset=split.new_dataset,\n"
        "        )\n"
        "        for samples in order",
    ),
    "losses kept with their graphs": Plant(
        file=EAGER,
        old="maximize=False,\n            )\n        return loss.detach()",
        new="maximize=False,\n            )\n        return loss",
    ),
}

STEP_CALL = "return engine.step(images, labels)"
EPOCH_CALL = "return _finish_epoch(Walk(engine, split, batch_size, generator=generator))"


def slow_steps(share: float, steps: Sequence[tuple[str, int]]) -> Plant:
    """Make steps take longer by a share, 0.1 is 10 %, of each engine at the batch size with it."""
    return _slowed(STEP_CALL, share, f"(engine.name, len(labels)) in {tuple(steps)}")


def slow_epochs(share: float, engine: str) -> Plant:
    """Make every epoch of this engine take longer by a share."""
    return _slowed(EPOCH_CALL, share, f'engine.name == "{engine}"')


def _slowed(call: str, share: float, condition: str) -> Plant:
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
    return Plant(file=TRAINING, old=call, new="\n    ".join(lines))


@contextmanager
def planted(tree: Path, plants: Sequence[Plant]) -> Iterator[Path]:
    """A copy of what a worker runs of `tree`, in another folder, edited; removed afterwards.

    Raises:
        PlantError: an edit does not fit.

    """
    with tempfile.TemporaryDirectory(prefix="gate-planted-") as folder:
        copy = Path(folder).resolve() / "head"
        for name in COPIED:
            if (tree / name).is_dir():
                shutil.copytree(tree / name, copy / name)
            else:
                shutil.copy(tree / name, copy / name)
        for plant in plants:
            source = (copy / plant.file).read_text()
            if source.count(plant.old) != 1:
                raise PlantError(f"{plant.file} has {plant.old!r} not once: adapt what is planted")
            (copy / plant.file).write_text(source.replace(plant.old, plant.new))
        yield copy
