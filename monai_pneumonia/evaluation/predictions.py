"""Reads predictions.csv, the table that ``predict`` writes, and refuses one that cannot be trusted."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError
from monai_pneumonia.metrics.weighted import Flags, Floats

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS_FILE = "predictions.csv"
OVERLAYS_FOLDER = "overlays"
STATUSES = ("ok", "rejected", "error")
DECISIONS = {"pneumonia": True, "no_pneumonia": False}
PROBABILITY_PREFIX = "prob_"

SUM_TOLERANCE = 0.005
"""How far probabilities may be from summing to one: half precision and three written digits stay well inside."""

_RANGE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Predictions:
    """A checked table of predictions; values of rows that are not ``ok`` are NaN or False.

    Attributes:
        name: where it was read from, for messages.
        sha256: of the file; None where it came as a table.
        ids: the items' ids, all different.
        statuses: ``ok``, ``rejected`` or ``error``.
        probabilities: class probabilities [N, C], in [0, 1], in the order of the datalist's classes.
        p_pneumonia: probability of pneumonia [N], in [0, 1].
        decisions: whether the model's operating point calls it pneumonia [N].
        model_version: as written; several are joined by commas, None where the column is missing or empty.
        weights_sha256: like ``model_version``.
        overlays: the folder of overlay pictures, where there is one.
        folder: that they were read from, where a folder was given; it may hold maps.
    """

    name: str
    sha256: str | None
    ids: tuple[str, ...]
    statuses: tuple[str, ...]
    probabilities: Floats
    p_pneumonia: Floats
    decisions: Flags
    model_version: str | None
    weights_sha256: str | None
    overlays: Path | None = None
    folder: Path | None = None

    @property
    def ok(self) -> Flags:
        """Which rows hold a prediction [N]."""
        return np.array([status == "ok" for status in self.statuses], dtype=bool)


@dataclass(frozen=True)
class _Table:
    """Text by column, before anything is believed.

    Attributes:
        name: where it was read from, for messages.
        columns: column name to its cells.
        lines: the line of each row, the header being line 1.
    """

    name: str
    columns: dict[str, list[str]]
    lines: list[int]

    def fault(self, column: str, row: int, what: str, others: int = 0) -> NoReturn:
        more = f" (and {others} more row{'s' if others > 1 else ''} like it)" if others else ""
        raise BadInputError(f"{self.name}, line {self.lines[row]}, column '{column}': {what}{more}")

    def check(self, column: str, rows: Sequence[int], wrong: Callable[[int], bool], what: Callable[[int], str]) -> None:
        """Raises for the first of the rows that is wrong, and says how many are."""
        faults = [row for row in rows if wrong(row)]
        if faults:
            self.fault(column, faults[0], what(faults[0]), len(faults) - 1)


def read_predictions(source: str | os.PathLike[str] | pd.DataFrame, labels: LabelSpace) -> Predictions:
    """Reads predictions and checks them against a datalist's classes.

    Args:
        source: the CSV file, the folder that ``predict`` wrote it to (its overlays are then found too), or the same columns as a table.
        labels: the classes that the predictions must be about.

    Raises:
        BadInputError: the file cannot be read, lacks a column, has an id twice, is about other classes, or holds a value that cannot be;
            the message names file, line and column.
        NothingToAnalyseError: it has no row.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _checked(_from_frame(source), labels, None)
    path = Path(source)
    folder = path if path.is_dir() else None
    file = path / PREDICTIONS_FILE if folder else path
    if folder and not file.is_file():
        raise BadInputError(
            f"{folder} holds no {PREDICTIONS_FILE}: give the folder that 'monai-pneumonia predict' wrote, or the file itself"
        )
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadInputError(f"cannot read the predictions {file}: {error.strerror}") from error
    return _checked(_from_csv(content, str(file)), labels, hashlib.sha256(content).hexdigest(), folder)


def _from_csv(content: bytes, name: str) -> _Table:
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{name} is not a CSV file in UTF-8: {error}") from error
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise BadInputError(f"{name}, line 1: the column '{twice[0]}' is there twice")
    for line, row in rows:
        if len(row) != len(header):
            raise BadInputError(f"{name}, line {line}: {len(row)} cells, but the header names {len(header)} columns")
    return _Table(name, {column: [row[at] for _, row in rows] for at, column in enumerate(header)}, [line for line, _ in rows])


def _from_frame(frame: pd.DataFrame) -> _Table:
    columns = {str(column): ["" if value is None or value != value else str(value) for value in frame[column]] for column in frame.columns}
    return _Table("the table of predictions", columns, list(range(2, len(frame) + 2)))


def _checked(table: _Table, labels: LabelSpace, sha256: str | None, folder: Path | None = None) -> Predictions:
    _check_columns(table, labels)
    if not table.lines:
        raise NothingToAnalyseError(f"{table.name} holds no prediction: it has a header and no row")
    _check_ids(table)
    statuses = table.columns["status"]
    every = range(len(statuses))
    table.check(
        "status", every, lambda row: statuses[row] not in STATUSES, lambda row: f"'{statuses[row]}' is none of {', '.join(STATUSES)}"
    )
    ok = [row for row in every if statuses[row] == "ok"]
    probabilities = np.stack([_probabilities(table, f"{PROBABILITY_PREFIX}{name}", ok) for name in labels.classes], axis=1)
    _check_sums(table, probabilities, ok, f"{PROBABILITY_PREFIX}{labels.classes[0]}")
    return Predictions(
        name=table.name,
        sha256=sha256,
        ids=tuple(table.columns["id"]),
        statuses=tuple(statuses),
        probabilities=probabilities,
        p_pneumonia=_probabilities(table, "p_pneumonia", ok),
        decisions=_decisions(table, ok),
        model_version=_distinct(table, "model_version", ok),
        weights_sha256=_distinct(table, "weights_sha256", ok),
        overlays=folder / OVERLAYS_FOLDER if folder and (folder / OVERLAYS_FOLDER).is_dir() else None,
        folder=folder,
    )


def _check_columns(table: _Table, labels: LabelSpace) -> None:
    columns = set(table.columns)
    expected = [f"{PROBABILITY_PREFIX}{name}" for name in labels.classes]
    strange = sorted(column for column in columns if column.startswith(PROBABILITY_PREFIX) and column not in expected)
    if strange:
        raise BadInputError(
            f"{table.name}, line 1, column '{strange[0]}': '{strange[0].removeprefix(PROBABILITY_PREFIX)}' is a class that the datalist "
            f"does not know (it has {', '.join(labels.classes)}); the predictions come from a model of other classes"
        )
    missing = [column for column in ("id", "status", *expected, "p_pneumonia", "decision") if column not in columns]
    if missing:
        raise BadInputError(
            f"{table.name}, line 1: no column {', '.join(repr(column) for column in missing)}; 'monai-pneumonia predict' writes them"
        )


def _check_ids(table: _Table) -> None:
    ids = table.columns["id"]
    table.check("id", range(len(ids)), lambda row: not ids[row], lambda row: "the id is empty")
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in first:
            table.fault("id", row, f"'{name}' was predicted in line {table.lines[first[name]]} already; an item may have one prediction")
        first[name] = row


def _probabilities(table: _Table, column: str, ok: Sequence[int]) -> Floats:
    """A column of probabilities [N], NaN in rows that hold no prediction."""
    cells = table.columns[column]
    values = np.full(len(cells), np.nan)
    for row in ok:
        try:
            values[row] = float(cells[row])
        except ValueError:
            table.fault(column, row, f"'{cells[row]}' is not a number")

    def outside(row: int) -> bool:
        return not -_RANGE_TOLERANCE <= values[row] <= 1 + _RANGE_TOLERANCE

    table.check(column, ok, outside, lambda row: f"{cells[row]} is no probability: it must lie between 0 and 1")
    return np.asarray(np.clip(values, 0, 1))


def _check_sums(table: _Table, probabilities: Floats, ok: Sequence[int], column: str) -> None:
    sums = probabilities.sum(axis=1)
    table.check(
        column,
        ok,
        lambda row: bool(abs(sums[row] - 1) > SUM_TOLERANCE),
        lambda row: f"the probabilities of this row's classes sum to {sums[row]:.4f}, not to 1",
    )


def _decisions(table: _Table, ok: Sequence[int]) -> Flags:
    cells = table.columns["decision"]
    table.check("decision", ok, lambda row: cells[row] not in DECISIONS, lambda row: f"'{cells[row]}' is none of {', '.join(DECISIONS)}")
    return np.array([DECISIONS.get(cell, False) for cell in cells], dtype=bool)


def _distinct(table: _Table, column: str, ok: Sequence[int]) -> str | None:
    cells = table.columns.get(column, [])
    return ", ".join(sorted({cells[row] for row in ok if cells and cells[row]})) or None
