"""A table of a study, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from monai_pneumonia.whole_files import whole_file


def write_csv(file: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table, whole or not at all.

    Args:
        file: it replaces one that is there.
        columns: the header.
        rows: values in the order of the columns.
    """
    with whole_file(file) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def number_cell(value: float | None) -> str:
    """A value of a table; empty where it is not defined."""
    return "" if value is None else format(value, ".9g")
