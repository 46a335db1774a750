"""Files that are written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Yields a name beside a file to write to; what was written takes the file's place at the end, and is removed after an error.

    The name is always the same, so that what a killed process leaves is written over by the next: one process at a time may write a file.

    Args:
        file: replaced if it is there; its folder must exist.
    """
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
