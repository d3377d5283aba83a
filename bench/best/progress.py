"""The line that shows what a command is doing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn


@contextmanager
def progress_line() -> Iterator[Callable[[str], object]]:
    """On a terminal, show a line of progress, which is redrawn only when its text changes."""
    console = Console()
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
