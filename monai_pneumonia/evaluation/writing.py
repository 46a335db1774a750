"""Puts results where they were asked for: all of them, or none."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from monai_pneumonia.errors import OutputNotWritableError

METRICS_FILE = "metrics.json"
EVALUATION_MARKS = frozenset({"research_use_only", "accounting", "overall"})


@contextmanager
def finished_folder(
    target: str | os.PathLike[str], ours: Sequence[str], marked_file: str = METRICS_FILE, marks: Set[str] = EVALUATION_MARKS
) -> Iterator[Path]:
    """Gives a temporary folder; what is written there moves to the target when the block ends without an error.

    A file of an earlier evaluation is replaced, or removed where this one has none of the name. Other files stay as they are.

    Args:
        target: the folder for the results.
        ours: every name that an evaluation may write, relative to the folder.
        marked_file: the JSON file of ``ours`` by which a folder is known as an evaluation's.
        marks: keys that this file holds.

    Raises:
        OutputNotWritableError: the folder cannot be written, or holds files of these names that no evaluation wrote.
    """
    folder = Path(os.path.abspath(target))
    try:
        _check_owner(folder, ours, marked_file, marks)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Inside a folder that exists (it may be a mount point), beside one that does not: a move must stay on one file system.
        place = folder if folder.exists() else folder.parent
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", suffix=".unfinished", dir=place) as name:
            results = Path(name) / "results"
            results.mkdir()
            yield results
            if folder.exists():
                _move_into(results, folder, ours, marked_file)
            else:
                results.replace(folder)
    except OSError as error:
        raise OutputNotWritableError(f"cannot write the results to {folder}: {error.strerror or error}") from error


def _check_owner(folder: Path, ours: Sequence[str], marked_file: str, marks: Set[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputNotWritableError(f"cannot write the results to {folder}: it is a file, give a folder")
    present = [name for name in ours if os.path.lexists(folder / name)]
    if present and not _is_evaluation(folder / marked_file, marks):
        raise OutputNotWritableError(
            f"{folder} holds a file '{present[0]}' that no evaluation wrote; it is left alone: give another folder, or move it away"
        )


def _is_evaluation(file: Path, marks: Set[str]) -> bool:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and marks <= set(content)


def _move_into(results: Path, folder: Path, ours: Sequence[str], marked_file: str) -> None:
    # The metrics go first: they mark the folder as an evaluation's, should the rest be cut short.
    written = sorted(
        (file.relative_to(results) for file in results.rglob("*") if file.is_file()), key=lambda name: name != Path(marked_file)
    )
    for name in written:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).replace(folder / name)
    for stale in set(ours) - {name.as_posix() for name in written}:
        (folder / stale).unlink(missing_ok=True)
