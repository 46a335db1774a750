"""Guangzhou Women and Children's Medical Center (Kermany et al. 2018): the class is in the file name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from monai_pneumonia.data.datalist import SECTIONS, DatalistItem
from monai_pneumonia.data.importers.intake import (
    DEFAULT_LABEL_RULES,
    DROP,
    ImportResult,
    Intake,
    LabelRules,
    find_one,
    is_picture,
    relative,
    section_of,
)
from monai_pneumonia.data.splits import DEFAULT_SPLIT_RULES, SplitRules
from monai_pneumonia.errors import BadInputError

MAPPING: Mapping[str, str | None] = {"bacteria": "bacterial", "virus": "viral", "normal": "normal"}
_PNEUMONIA = re.compile(r"(person\d+)_(bacteria|virus)_\d+")
_NORMAL = re.compile(r"((?:NORMAL\d*-)?IM-\d+)-\d+(?:-\d+)?")


@dataclass(frozen=True)
class _Picture:
    """A picture whose name could be read: ``kind`` is a key of :data:`MAPPING`."""

    file: Path
    section: str
    kind: str
    patient: str


def import_guangzhou(
    folder: Annotated[Path, "The chest_xray folder (train, val and test folders with NORMAL and PNEUMONIA), or the one above it."],
    *,
    official_splits: Annotated[bool, "Keep the official splits; a patient found in two goes where most of the pictures are."] = False,
    source: Annotated[str, "What to call the collection."] = "guangzhou",
    license: Annotated[str, "Licence of the pictures."] = "CC BY 4.0",
    labels: LabelRules = DEFAULT_LABEL_RULES,
    splits: SplitRules = DEFAULT_SPLIT_RULES,
) -> ImportResult:
    """Imports the Guangzhou children's chest X-rays (Kermany et al. 2018).

    Class and patient come from the file name; bacterial and viral pictures share their numbers. The official splits have patients in
    common (and 16 pictures for validation), so the pictures are split anew by patient unless the official splits are asked for.

    Raises:
        BadInputError: the folders are missing.
        NothingToAnalyseError: no picture is left.
    """
    folder = folder.resolve()
    top = folder if (folder / "train").is_dir() else find_one(folder, "chest_xray")
    intake = Intake(top.name, labels.over(MAPPING))
    pictures = _find_pictures(top, intake)
    homes = _homes(pictures, intake) if official_splits else {}
    for picture in pictures:
        label = intake.label(picture.kind)
        if label == DROP:
            intake.leave_out(f"'{picture.kind}' is mapped to {DROP}", picture.file)
            continue
        item = DatalistItem(
            id="",
            image=relative(picture.file, top),
            label=label,
            patient_id=f"{source}-{picture.patient}",
            source=source,
            view="AP",
            license=license,
        )
        intake.add(item, picture.file, (homes[picture.patient],) if official_splits else SECTIONS)
    return intake.finish(top, splits)


def _find_pictures(top: Path, intake: Intake) -> list[_Picture]:
    pictures = []
    for split in ("train", "val", "test"):
        for kind in ("NORMAL", "PNEUMONIA"):
            class_folder = top / split / kind
            if not class_folder.is_dir():
                raise BadInputError(f"{class_folder} does not exist: the layout is chest_xray/{{train,val,test}}/{{NORMAL,PNEUMONIA}}")
            for file in sorted(path for path in class_folder.iterdir() if path.is_file()):
                picture = _read_name(file, section_of(split) or split, kind)
                if isinstance(picture, _Picture):
                    pictures.append(picture)
                else:
                    intake.leave_out(picture, file)
    return pictures


def _read_name(file: Path, section: str, folder_kind: str) -> _Picture | str:
    """What a file's name says, or why it cannot be used."""
    if file.name.startswith(".") or not is_picture(file):
        return f"no picture by its name ({file.suffix or 'no suffix'})"
    pneumonia, normal = _PNEUMONIA.fullmatch(file.stem), _NORMAL.fullmatch(file.stem)
    if pneumonia is None and normal is None:
        return "file name tells no class"
    if (normal is not None) != (folder_kind == "NORMAL"):
        return "file name and folder disagree about the class"
    if pneumonia:
        return _Picture(file, section, pneumonia[2], pneumonia[1])
    assert normal is not None
    return _Picture(file, section, "normal", normal[1])


def _homes(pictures: list[_Picture], intake: Intake) -> dict[str, str]:
    """One section for each patient: that of most of the pictures, the first section where it is even; notes what moved."""
    counts: dict[str, Counter[str]] = {}
    for picture in pictures:
        counts.setdefault(picture.patient, Counter())[picture.section] += 1
    homes = {patient: max(SECTIONS, key=lambda section: found[section]) for patient, found in counts.items()}
    spread = sum(1 for found in counts.values() if len(found) > 1)
    moved = Counter((picture.section, homes[picture.patient]) for picture in pictures if picture.section != homes[picture.patient])
    if spread:
        moves = ", ".join(f"{count} from {old} to {new}" for (old, new), count in sorted(moved.items()))
        intake.note(f"{spread} patients are in several official splits; pictures moved so that each is in one: {moves}")
    return homes
