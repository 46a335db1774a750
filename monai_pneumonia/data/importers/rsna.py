"""RSNA Pneumonia Detection Challenge 2018: DICOM pictures, boxes and detailed classes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from monai_pneumonia.data.datalist import DatalistItem
from monai_pneumonia.data.importers.intake import DEFAULT_LABEL_RULES, DROP, ImportResult, Intake, LabelRules, find_one, relative
from monai_pneumonia.data.importers.tables import read_box, read_table
from monai_pneumonia.data.progress import track
from monai_pneumonia.data.splits import DEFAULT_SPLIT_RULES, SplitRules

LABELS_TABLE = "stage_2_train_labels.csv"
CLASSES_TABLE = "stage_2_detailed_class_info.csv"
PICTURES = "stage_2_train_images"
OPACITY = "Lung Opacity"
# Radiologists read all of these pictures: one without a box was read and found free of opacities.
MAPPING: Mapping[str, str | None] = {OPACITY: "pneumonia_unspecified", "Normal": "normal", "No Lung Opacity / Not Normal": None}
Box = tuple[float, float, float, float]


def import_rsna(
    folder: Annotated[Path, f"The folder that holds {LABELS_TABLE}, {CLASSES_TABLE} and {PICTURES}/."],
    *,
    source: Annotated[str, "What to call the collection."] = "rsna",
    license: Annotated[str, "Licence of the pictures."] = "RSNA 2018 challenge terms (non-commercial/academic research); images: NIHCC",
    labels: LabelRules = DEFAULT_LABEL_RULES,
    splits: SplitRules = DEFAULT_SPLIT_RULES,
) -> ImportResult:
    """Imports the RSNA Pneumonia Detection Challenge of 2018 (stage 2, training pictures).

    Lung Opacity becomes pneumonia_unspecified with boxes, Normal becomes normal with an empty outline, and No Lung Opacity / Not Normal
    a picture without a label whose outline is known to be empty.

    Raises:
        BadInputError: a table, column or the folder of pictures is missing, or a class is unknown.
        NothingToAnalyseError: no picture is left.
    """
    folder = folder.resolve()
    boxes = _read_boxes(find_one(folder, LABELS_TABLE))
    classes = {row["patientId"]: row["class"] for row in read_table(find_one(folder, CLASSES_TABLE), ["patientId", "class"]).rows}
    pictures = {file.stem: file for file in sorted(find_one(folder, PICTURES).glob("*.dcm"))}
    intake = Intake(folder.name, labels.over(MAPPING))
    intake.note("the source's patientId names a picture: pictures of one person cannot be linked")
    for name in track(sorted({*boxes, *classes, *pictures}), "reading DICOM headers"):
        file = pictures.get(name)
        reason = _why_not(name, boxes, classes, pictures)
        label = intake.label(classes[name]) if reason is None else None
        if label == DROP:
            reason = f"class '{classes[name]}' is mapped to {DROP}"
        if reason or file is None:
            intake.leave_out(reason or "", f"{name}.dcm")
            continue
        tags = _header(file)
        item = DatalistItem(
            id="",
            image=relative(file, folder),
            label=label,
            boxes=boxes[name],
            mask_kind="box" if boxes[name] else "empty",
            patient_id=f"{source}-{name}",
            source=source,
            view=tags["ViewPosition"] or None,
            age=intake.age(tags["PatientAge"]),
            sex=intake.sex(tags["PatientSex"]),
            license=license,
        )
        intake.add(item, file)
    return intake.finish(folder, splits)


def _read_boxes(path: Path) -> dict[str, tuple[Box, ...]]:
    """The boxes of every picture in the table of labels; none where Target is 0."""
    table = read_table(path, ["patientId", "x", "y", "width", "height", "Target"])
    boxes: dict[str, tuple[Box, ...]] = {}
    for row in table.rows:
        found = (read_box(path, row, ("x", "y", "width", "height")),) if row["Target"] == "1" else ()
        boxes[row["patientId"]] = (*boxes.get(row["patientId"], ()), *found)
    return boxes


def _why_not(name: str, boxes: Mapping[str, object], classes: Mapping[str, str], pictures: Mapping[str, Path]) -> str | None:
    """Why a picture cannot be imported, or None."""
    if name not in boxes and name not in classes:
        return "picture is in no table"
    if name not in pictures:
        return "picture is not there"
    if name not in boxes:
        return f"picture is not in {LABELS_TABLE}"
    if name not in classes:
        return f"picture is not in {CLASSES_TABLE}"
    if bool(boxes[name]) != (classes[name] == OPACITY):
        return "boxes and detailed class disagree"
    return None


def _header(file: Path) -> dict[str, str]:
    """View, age and sex; blank where a header lacks them or cannot be read (the validator reports unreadable files)."""
    import pydicom

    names = ("ViewPosition", "PatientAge", "PatientSex")
    with warnings.catch_warnings():
        # The challenge's ages are badly formed ('51' for '051Y'); parse_age copes.
        warnings.simplefilter("ignore")
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(names))
        except (OSError, pydicom.errors.InvalidDicomError):
            return dict.fromkeys(names, "")
        return {name: str(header.get(name, "") or "") for name in names}
