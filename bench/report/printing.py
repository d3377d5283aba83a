"""What a command found, printed part by part."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table


def show(parts: Iterable[Table | str], console: Console) -> None:
    """Print tables as they are laid out, and each sentence as one line."""
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))
