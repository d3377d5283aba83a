"""Write what remake.sh measured into the pages, between the markers `remade: NAME` and `end`.

Usage: python docs/pages.py FOLDER, with the files that remake.sh left in the folder.
"""

import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.runs import files, seeds
from bench.runs.case import MeasuredCase
from bench.units import counted, seconds
from mnist_mlp.batches import steps_per_epoch

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/results.md",
    "docs/workers.md",
    "docs/your-network.md",
    "docs/reference/peers.md",
)
SIZES = (1, 4, 16, 64, 256, 1024, 60_000)
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".remade")


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Lay out a table of Markdown whose cells are numbers."""
    lines = [list(headings), ["---:"] * len(list(headings)), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


@cache
def cases(name: str) -> Sequence[MeasuredCase]:
    """Read the cases of a run."""
    return files.read(FOLDER / name).cases


@cache
def epochs() -> dict[tuple[str, int], float]:
    """Return seconds per epoch by engine and batch size."""
    return {
        (case.engine, case.batch_size): case.seconds
        for case in seeds.of_verb(cases("run.json"), "epoch")
    }


def lines(name: str, start: str, end: str | None = None) -> str:
    """Return what a command printed, from one line to the line before another, by their starts."""
    printed = (FOLDER / name).read_text().splitlines()
    first = next(number for number, line in enumerate(printed) if line.startswith(start))
    rest = printed[first:]
    stop = (n for n, line in enumerate(rest) if end is not None and n and line.startswith(end))
    return "\n".join(rest[: next(stop, None)]).strip()


def fenced(text: str, *, command: str = "") -> str:
    """Show output, below its command if given."""
    return f"```console\n$ {command}\n{text}\n```" if command else f"```text\n{text}\n```"


def measured_on(subject: str, *more: str) -> str:
    """Write a sentence on the machine and the versions that something was measured with."""
    info: dict[str, Any] = json.loads((FOLDER / "run.json").read_text())["machine_info"]
    cpu, cores = info["cpu"], counted(info["logical_cores"], "core")
    details = f"family {cpu['family']}, model {cpu['model']}, {info['cpu_capability']}"
    versions = [
        f"Python {info['python_version']}",
        f"torch {info['torch'].partition('+')[0]}",
        *more,
    ]
    return textwrap.fill(
        f"{subject} on {cores} of an {cpu['brand_raw']} ({details}), {', '.join(versions)}.", 118
    )


def question() -> str:
    """Make the question's rows: the loader's epochs, updates, and accuracies after ten epochs."""
    rows = []
    for size in (1, 256, 60_000):
        epoch = re.findall(r"test accuracy (\S+)", (FOLDER / f"training-{size}.txt").read_text())[
            -1
        ]
        updates = steps_per_epoch(60_000, size)
        rows.append(
            [f"{size:,}", seconds(epochs()["loader", size]), f"{updates:,}", f"{float(epoch):.3f}"]
        )
    headings = ("batch size", "time per epoch, engine `loader`", "updates per epoch")
    return table((*headings, "test accuracy after ten epochs"), rows)


def engines() -> str:
    """Make the table of epochs by engine, and of the time to the target by rule."""
    names = ("loader", "eager", "compiled", "native")
    trained = {
        (rule, of_size.batch_size): of_size
        for (_, rule), sizes in seeds.by_series(cases("run.json")).items()
        for of_size in sizes
    }

    def outcome(rule: str, size: int) -> str:
        of_size = trained.get((rule, size))
        if of_size is None:
            return ""
        missed = of_size.is_censored
        return (
            f"not reached ({of_size.missed_score:.3f})"
            if missed
            else seconds(of_size.median_seconds)
        )

    rows = [
        [
            f"{size:,}",
            *(seconds(epochs()[name, size]) if (name, size) in epochs() else "" for name in names),
            *(outcome(rule, size) for rule in ("fixed", "tuned")),
        ]
        for size in SIZES
    ]
    headings = ("batch size", "epoch: `loader`", *(f"`{name}`" for name in names[1:]))
    numbers = table((*headings, "to 95 %, learning rate 0.1", "to 95 %, tuned rate"), rows)
    return f"{numbers}\n\n{measured_on('From one `pytest --benchmark-only` run')}"


def cost() -> str:
    """Return how many times as long as the best 256 takes to the target at the tuned rate."""
    (series,) = (
        sizes for (_, rule), sizes in seeds.by_series(cases("run.json")).items() if rule == "tuned"
    )
    times = {trained.batch_size: trained.median_seconds for trained in series}
    return f"{times[256] / min(times.values()):.1f}"


def best(engine: str) -> str:
    """Return the batch size and the rate that `sweet-spot` predicts for an engine, as a phrase."""
    text = " ".join((FOLDER / "sweet-spot.txt").read_text().split())
    sentence = (
        rf"Batch size (\d+) at rate (\S+) is predicted to train fastest with the {engine} engine"
    )
    interval = r".*?lies between (\d+) and (\d+) \(95 % interval\)"
    ((size, rate, low, high),) = re.findall(sentence + interval, text)
    return f"batch size {size} at rate {rate} (95 % interval {low} to {high})"


def libraries() -> str:
    """Name the machine, and the versions of the other libraries."""
    names = {"JAX": "jax", "scikit-learn": "scikit-learn", "Keras": "keras", "Numba": "numba"}
    return measured_on(
        "Measured", *(f"{name} {version(package)}" for name, package in names.items())
    )


def peers(verb: str, names: Iterable[str]) -> str:
    """Make the table of peers: their time divided by ours, with its range."""
    rows = []
    for case in seeds.of_verb(cases("peers.json"), verb):
        form = f"{case.form}, {counted(case.form_threads or 1, 'thread')}"
        ratios = ("{:.3g} ({:.3g} to {:.3g})".format(*case.peer_ratios[name]) for name in names)
        rows.append(
            [str(case.batch_size), f"{1e6 / case.samples_per_second:.1f} us", form, *ratios]
        )
    headings = ("batch size", "native, per sample", "chosen form")
    return table((*headings, *(f"{name} / native" for name in names)), rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "machine": lambda: measured_on("Measured"),
    "question": question,
    "engines": engines,
    "cost": cost,
    "libraries": libraries,
    "run": lambda: fenced(lines("run.txt", "loader engine:", "=====")),
    "sweet-spot": lambda: fenced(
        lines("sweet-spot.txt", "Batch size", "Within"),
        command="python -m bench sweet-spot --engines=loader,native",
    ),
    "best-loader": lambda: best("loader"),
    "best-native": lambda: best("native"),
    "training": lambda: fenced(
        lines("training-1.txt", "MNIST", "epoch   2"),
        command="python -m mnist_mlp --batch-size 1 --epochs 10 --engine native",
    ),
    "convnet": lambda: fenced(lines("convnet.txt", "Batch size")),
    "workers": lambda: fenced(
        lines("workers.txt", "ddp engine", "One step")
        + "\n"
        + lines("workers.txt", "Time to target")
    ),
    "peers": lambda: peers("peers", ("JAX", "scikit-learn", "Keras")),
    "peers-without-zeros": lambda: peers("peers_without_zeros", ("JAX",)),
}


def filled(text: str) -> str:
    """Return a page with every block between markers made anew."""

    def fill(found: re.Match[str]) -> str:
        gap = "\n" if found["gap"] else ""
        return f"{found['start']}{gap}{BLOCKS[found['name']]()}{gap}<!-- end -->"

    pattern = r"(?P<start><!-- remade: (?P<name>[\w-]+) -->)(?P<gap>\n?).*?<!-- end -->"
    return re.sub(pattern, fill, text, flags=re.DOTALL)


if __name__ == "__main__":
    pages = {ROOT / name: filled((ROOT / name).read_text()) for name in PAGES}
    for page, text in pages.items():
        page.write_text(text)
