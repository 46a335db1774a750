"""Tables of text: read with their columns checked."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_pneumonia.errors import BadInputError


@dataclass(frozen=True)
class Table:
    """A table whose cells are all text.

    Attributes:
        file: where it was read from.
        columns: column names, stripped.
        rows: one mapping a row, from column to stripped text; a missing cell is an empty text.
    """

    file: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def require(self, columns: Sequence[str]) -> None:
        """Checks that columns are there.

        Raises:
            BadInputError: names the columns missing and those found.
        """
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise BadInputError(f"{self.file} has no column {', '.join(repr(name) for name in missing)}; it has {list(self.columns)}")


def read_table(path: str | os.PathLike[str], columns: Sequence[str] = ()) -> Table:
    """Reads a table with a header, separated by commas, semicolons or tabs.

    Args:
        path: the file, UTF-8 (with or without a byte order mark).
        columns: columns that must be there.

    Raises:
        BadInputError: the file is missing, not text, has a row longer than its header, or lacks a column.
    """
    file = Path(path)
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            header = stream.readline()
            stream.seek(0)
            separator = max(",;\t", key=header.count)
            reader = csv.reader(stream, delimiter=separator)
            names = tuple(name.strip() for name in next(reader, []))
            rows = tuple(_row(file, names, cells, number) for number, cells in enumerate(reader, start=2) if any(cells))
    except OSError as error:
        raise BadInputError(f"cannot read the table {file}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{file} is not a table in UTF-8 text: {error}") from error
    table = Table(file, names, rows)
    table.require(columns)
    return table


def _row(file: Path, names: Sequence[str], cells: Sequence[str], number: int) -> dict[str, str]:
    if any(cell.strip() for cell in cells[len(names) :]):
        raise BadInputError(f"{file}: row {number} has {len(cells)} cells, its header {len(names)}: quote cells that hold the separator")
    padded = [*cells, *[""] * (len(names) - len(cells))]
    return {name: cell.strip() for name, cell in zip(names, padded, strict=False)}


def read_box(file: Path, row: Mapping[str, str], columns: Sequence[str]) -> tuple[float, float, float, float]:
    """A lesion box (x, y, width, height) from four columns of a row.

    Raises:
        BadInputError: a cell is no number.
    """
    try:
        x, y, width, height = (float(row[column]) for column in columns)
    except ValueError as error:
        raise BadInputError(f"{file}: a box needs numbers in {', '.join(columns)}, got {[row[column] for column in columns]}") from error
    return x, y, width, height
