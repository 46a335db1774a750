"""NIH ChestX-ray14: labels mined from reports, a few boxes, official lists of training and testing pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from monai_pneumonia.data.datalist import SECTIONS, DatalistItem
from monai_pneumonia.data.importers.intake import DEFAULT_LABEL_RULES, DROP, ImportResult, Intake, LabelRules, find_one, relative
from monai_pneumonia.data.importers.tables import read_box, read_table
from monai_pneumonia.data.splits import DEFAULT_SPLIT_RULES, SplitRules
from monai_pneumonia.errors import BadInputError

OTHER_FINDINGS = "other findings"
MAPPING: Mapping[str, str | None] = {"Pneumonia": "pneumonia_unspecified", "No Finding": "normal", OTHER_FINDINGS: None}
# The boxes were drawn on the published pictures, all of this side; a smaller copy needs smaller boxes.
PUBLISHED_SIDE = 1024
_LISTS: Mapping[str, tuple[str, ...]] = {"train_val_list.txt": ("training", "validation"), "test_list.txt": ("testing",)}
Box = tuple[float, float, float, float]


def import_nih(
    folder: Annotated[Path, "The folder that holds Data_Entry_2017*.csv and images_*/images/ or images/."],
    *,
    infiltrate_boxes: Annotated[bool, "Take the boxes of infiltrates too, not of pneumonia alone."] = False,
    source: Annotated[str, "What to call the collection."] = "nih",
    license: Annotated[str, "Licence of the pictures."] = "NIH CXR14 (no use restrictions; attribute NIHCC)",
    labels: LabelRules = DEFAULT_LABEL_RULES,
    splits: SplitRules = DEFAULT_SPLIT_RULES,
) -> ImportResult:
    """Imports NIH ChestX-ray14.

    Findings with Pneumonia become pneumonia_unspecified, No Finding becomes normal, all others are 'other findings': kept without a label,
    or left out with --map 'other findings=drop'. The official lists are used where they are there (validation is carved out of
    train_val_list.txt).

    Raises:
        BadInputError: a table, column or the pictures are missing.
        NothingToAnalyseError: no picture is left.
    """
    folder = folder.resolve()
    table = read_table(
        find_one(folder, "Data_Entry_2017*.csv"), ["Image Index", "Finding Labels", "Patient ID", "Patient Age", "View Position"]
    )
    sex_column = next((name for name in ("Patient Gender", "Patient Sex") if name in table.columns), None)
    pictures = {file.name: file for pattern in ("images/*.png", "images*/images/*.png") for file in sorted(folder.glob(pattern))}
    intake = Intake(folder.name, labels.over(MAPPING))
    boxes = _read_boxes(folder, intake, ("Pneumonia", "Infiltrate") if infiltrate_boxes else ("Pneumonia",))
    sections = _official_sections(folder, intake)
    for row in table.rows:
        name = row["Image Index"]
        finding = _main_finding(row["Finding Labels"])
        label = intake.label(finding)
        allowed = SECTIONS if sections is None else sections.get(name)
        if name not in pictures:
            intake.leave_out("picture is not there", name)
        elif label == DROP:
            intake.leave_out(f"'{finding}' is mapped to {DROP}", name)
        elif allowed is None:
            intake.leave_out("in neither official list", name)
        else:
            scaled = _scaled(boxes.get(name, ()), pictures[name], intake)
            item = DatalistItem(
                id="",
                image=relative(pictures[name], folder),
                label=label,
                boxes=scaled,
                mask_kind="box" if scaled else "unknown",
                patient_id=f"{source}-{row['Patient ID']}",
                source=source,
                view=row["View Position"] or None,
                age=intake.age(row["Patient Age"]),
                sex=intake.sex(row[sex_column]) if sex_column else None,
                license=license,
            )
            intake.add(item, pictures[name], allowed)
    for name in sorted(set(pictures) - {row["Image Index"] for row in table.rows}):
        intake.leave_out(f"picture is not in {table.file.name}", name)
    return intake.finish(folder, splits)


def _main_finding(findings: str) -> str:
    """Of findings joined by '|', the one that decides the label."""
    names = [name.strip() for name in findings.split("|")]
    if "Pneumonia" in names:
        return "Pneumonia"
    return "No Finding" if names == ["No Finding"] else OTHER_FINDINGS


def _read_boxes(folder: Path, intake: Intake, wanted: tuple[str, ...]) -> dict[str, tuple[Box, ...]]:
    """The wanted boxes by picture; none where the table of boxes is not there."""
    path = folder / "BBox_List_2017.csv"
    if not path.is_file():
        intake.note(f"no {path.name}: no lesion boxes")
        return {}
    # The header reads 'Bbox [x,y,w,h]': its comma-separated parts are the names of the columns.
    columns = ("Bbox [x", "y", "w", "h]")
    table = read_table(path, ["Image Index", "Finding Label", *columns])
    boxes: dict[str, tuple[Box, ...]] = {}
    for row in table.rows:
        if row["Finding Label"] in wanted:
            boxes[row["Image Index"]] = (*boxes.get(row["Image Index"], ()), read_box(path, row, columns))
    taken = sum(map(len, boxes.values()))
    intake.note(f"boxes: {taken} of {' and '.join(wanted)} read, {len(table.rows) - taken} of other findings left out")
    return boxes


def _official_sections(folder: Path, intake: Intake) -> dict[str, tuple[str, ...]] | None:
    """The sections that each picture may go to by the official lists; None where there are no lists."""
    present = [name for name in _LISTS if (folder / name).is_file()]
    if not present:
        intake.note(f"no official lists ({', '.join(_LISTS)})")
        return None
    if len(present) < len(_LISTS):
        raise BadInputError(f"{folder} has {present[0]} but not {' or '.join(set(_LISTS) - set(present))}: give both lists or none")
    return {
        line.strip(): sections
        for name, sections in _LISTS.items()
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
        if line.strip()
    }


def _scaled(boxes: tuple[Box, ...], picture: Path, intake: Intake) -> tuple[Box, ...]:
    """Boxes in the pixels of this copy of the picture."""
    from PIL import Image

    if not boxes:
        return boxes
    with Image.open(picture) as image:
        factors = (image.width / PUBLISHED_SIDE, image.height / PUBLISHED_SIDE)
    if factors == (1.0, 1.0):
        return boxes
    intake.alter(f"picture that is not {PUBLISHED_SIDE} pixels wide and high: boxes scaled to its size")
    return tuple((x * factors[0], y * factors[1], width * factors[0], height * factors[1]) for x, y, width, height in boxes)
