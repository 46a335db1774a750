"""A progress bar on standard error, for loops over many pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Entry = TypeVar("Entry")


def track(entries: Iterable[Entry], description: str, total: int | None = None) -> Iterator[Entry]:
    """Passes entries on and shows how far the loop is; shows nothing where standard error is no terminal.

    Args:
        entries: what to loop over.
        description: what the loop does.
        total: number of entries, where they cannot tell themselves.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if total is None and isinstance(entries, Sized):
        total = len(entries)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(entries, total=total, description=description)
