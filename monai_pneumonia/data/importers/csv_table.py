"""Any table with one row a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from monai_pneumonia.data.datalist import MASK_KINDS, SECTIONS, DatalistItem
from monai_pneumonia.data.importers.intake import DEFAULT_LABEL_RULES, DROP, ImportResult, Intake, LabelRules, relative, section_of
from monai_pneumonia.data.importers.tables import Table, read_box, read_table
from monai_pneumonia.data.splits import DEFAULT_SPLIT_RULES, SplitRules
from monai_pneumonia.errors import BadInputError

NO_COLUMN = "none"
_BOX_COLUMNS = ("x", "y", "w", "h")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Columns:
    """The columns that a table turned out to have; None for those it lacks."""

    image: str
    label: str | None
    patient: str | None
    split: str | None
    mask: str | None
    mask_kind: str | None
    source: str | None
    view: str | None
    age: str | None
    sex: str | None
    license: str | None


def import_csv(
    table: Annotated[Path, "The table: CSV with a header, one row a picture."],
    *,
    image_column: Annotated[str, "Column of the picture's path."] = "image",
    label_column: Annotated[str, "Column of the label; 'none' for pictures without labels."] = "label",
    patient_column: Annotated[str | None, "Column of the patient's id; patient_id by default, where there is one."] = None,
    split_column: Annotated[str | None, "Column of the split (split, where there is one); 'none' splits anew."] = None,
    mask_column: Annotated[str | None, "Column of the lesion outline's path (mask, where there is one)."] = None,
    mask_kind_column: Annotated[str | None, "Column saying pixel, box, empty or unknown (mask_kind, where there is one)."] = None,
    source_column: Annotated[str | None, "Column of the hospital or collection (source, where there is one)."] = None,
    view_column: Annotated[str | None, "Column of the view (view, where there is one)."] = None,
    age_column: Annotated[str | None, "Column of the age (age, where there is one)."] = None,
    sex_column: Annotated[str | None, "Column of the sex (sex, where there is one)."] = None,
    license_column: Annotated[str | None, "Column of the licence (license, where there is one)."] = None,
    boxes: Annotated[Path | None, "Table of lesion boxes: image, x, y, w, h in the picture's pixels."] = None,
    root: Annotated[Path | None, "Folder that the table's paths are relative to (the table's own by default)."] = None,
    name: Annotated[str | None, "Name of the datalist (the table's by default)."] = None,
    labels: LabelRules = DEFAULT_LABEL_RULES,
    splits: SplitRules = DEFAULT_SPLIT_RULES,
) -> ImportResult:
    """Imports a table with one row a picture.

    A column left None is used under its usual name where the table has it; a column that is named must be there.

    Raises:
        BadInputError: a file or column is missing, a cell cannot be understood, or a label is unknown.
        NothingToAnalyseError: no picture is left.
    """
    content = read_table(table, [image_column])
    columns = _Columns(
        image=image_column,
        label=None if label_column == NO_COLUMN else label_column,
        patient=_column(content, patient_column, "patient_id"),
        split=_column(content, split_column, "split"),
        mask=_column(content, mask_column, "mask"),
        mask_kind=_column(content, mask_kind_column, "mask_kind"),
        source=_column(content, source_column, "source"),
        view=_column(content, view_column, "view"),
        age=_column(content, age_column, "age"),
        sex=_column(content, sex_column, "sex"),
        license=_column(content, license_column, "license"),
    )
    content.require([columns.label] if columns.label else [])
    folder = (root or table.parent).resolve()
    intake = Intake(name or table.stem, labels)
    aside = [column for column in content.columns if column not in vars(columns).values()]
    if aside:
        intake.note(f"columns left aside: {', '.join(aside)}")
    if columns.patient is None:
        intake.note(
            "WARNING: no patient column: every picture counts as its own patient, so one patient may be in training and in testing; "
            "name the column with --patient-column"
        )
    _check_mask_kinds(content, columns.mask_kind)
    sections = _sections(content, columns.split)
    known_boxes = _read_boxes(boxes, content, columns.image, folder, intake) if boxes else {}
    for row, allowed in zip(content.rows, sections, strict=True):
        _take_row(intake, columns, row, allowed, folder, known_boxes)
    return intake.finish(folder, splits)


def _column(table: Table, asked: str | None, usual: str) -> str | None:
    if asked == NO_COLUMN:
        return None
    if asked is None:
        return usual if usual in table.columns else None
    table.require([asked])
    return asked


def _sections(table: Table, column: str | None) -> list[tuple[str, ...]]:
    if column is None:
        return [SECTIONS] * len(table.rows)
    sections = [section_of(row[column]) for row in table.rows]
    unknown = Counter(row[column] for row, section in zip(table.rows, sections, strict=True) if section is None)
    if unknown:
        listed = ", ".join(f"'{split}' ({count})" for split, count in sorted(unknown.items()))
        raise BadInputError(
            f"{table.file}: column '{column}' holds {listed}; say train, val or test in every row, or split anew with "
            f"--split-column {NO_COLUMN}"
        )
    return [(section,) for section in sections if section]


def _take_row(
    intake: Intake,
    columns: _Columns,
    row: Mapping[str, str],
    allowed: tuple[str, ...],
    folder: Path,
    known_boxes: Mapping[Path, tuple[Box, ...]],
) -> None:
    def cell(column: str | None) -> str:
        return row[column] if column else ""

    label = intake.label(cell(columns.label))
    file = folder / row[columns.image]
    if label == DROP:
        intake.leave_out(f"label '{cell(columns.label)}' is mapped to {DROP}", file)
        return
    if not file.is_file():
        intake.leave_out("picture is not there", file)
        return
    mask, boxes = cell(columns.mask) or None, known_boxes.get(file.resolve(), ())
    item = DatalistItem(
        id="",
        image=relative(file, folder),
        label=label,
        mask=relative(folder / mask, folder) if mask else None,
        boxes=boxes,
        mask_kind=_mask_kind(cell(columns.mask_kind), mask, boxes),
        patient_id=cell(columns.patient) or None,
        source=cell(columns.source) or None,
        view=cell(columns.view) or None,
        age=intake.age(cell(columns.age)),
        sex=intake.sex(cell(columns.sex)),
        license=cell(columns.license) or None,
    )
    intake.add(item, file, allowed)


def _check_mask_kinds(table: Table, column: str | None) -> None:
    unknown = Counter(row[column] for row in table.rows if row[column] not in (*MASK_KINDS, "")) if column else None
    if unknown:
        listed = ", ".join(f"'{kind}' ({count})" for kind, count in sorted(unknown.items()))
        raise BadInputError(f"{table.file}: column '{column}' holds {listed}; it must be one of {', '.join(MASK_KINDS)} or blank")


def _mask_kind(stated: str, mask: str | None, boxes: tuple[Box, ...]) -> str:
    return stated or ("pixel" if mask else "box" if boxes else "unknown")


def _read_boxes(path: Path, table: Table, image_column: str, folder: Path, intake: Intake) -> dict[Path, tuple[Box, ...]]:
    """The boxes of each picture, whose paths are relative to the boxes' own folder, or to the pictures' one, or bare names."""
    content = read_table(path, ["image", *_BOX_COLUMNS])
    pictures = {(folder / row[image_column]).resolve() for row in table.rows}
    by_name: dict[str, list[Path]] = {}
    for picture in pictures:
        by_name.setdefault(picture.name, []).append(picture)
    found: dict[Path, list[Box]] = {}
    strangers: list[str] = []
    for row in content.rows:
        candidates = [base / row["image"] for base in (path.parent.resolve(), folder)]
        match = [candidate.resolve() for candidate in candidates if candidate.resolve() in pictures] or by_name.get(row["image"], [])
        if not match:
            strangers.append(row["image"])
        elif len(set(match)) > 1:
            raise BadInputError(
                f"{path}: '{row['image']}' may be any of {len(set(match))} pictures: write its path, relative to {path.parent}"
            )
        else:
            found.setdefault(match[0], []).append(read_box(path, row, _BOX_COLUMNS))
    if strangers and not found:
        raise BadInputError(f"{path}: none of its {len(strangers)} boxes belongs to a picture of {table.file} (first: '{strangers[0]}')")
    if strangers:
        intake.note(f"{len(strangers)} boxes left out: their picture is not in the table (first: '{strangers[0]}')")
    return {picture: tuple(boxes) for picture, boxes in found.items()}
