"""A live line that says what is going on while something is timed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn


@contextmanager
def progress_line(console: Console) -> Iterator[Callable[[str], object]]:
    """On a terminal, a line with what is going on; its clock stands still in between."""
    progress = Progress(
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        auto_refresh=False,  # a thread that redraws would disturb what is measured
        transient=True,
        disable=not console.is_terminal,
    )
    task = progress.add_task("")
    with progress:
        yield lambda text: progress.update(task, description=text, refresh=True)
