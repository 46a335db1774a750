"""Folders named after classes, with or without folders of splits above them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from monai_pneumonia.data.datalist import SECTIONS, DatalistItem
from monai_pneumonia.data.importers.intake import (
    DEFAULT_LABEL_RULES,
    DROP,
    ImportResult,
    Intake,
    LabelRules,
    is_picture,
    relative,
    section_of,
)
from monai_pneumonia.data.splits import DEFAULT_SPLIT_RULES, SplitRules
from monai_pneumonia.errors import BadInputError, UsageError


def import_folders(
    folder: Annotated[Path, "The folder that holds one folder a class, or train, val and test folders that do."],
    *,
    patient_pattern: Annotated[
        str | None, "Regular expression whose first group finds the patient's id in a file name; without one, each picture is a patient."
    ] = None,
    source: Annotated[str | None, "What to call the hospital or collection."] = None,
    labels: LabelRules = DEFAULT_LABEL_RULES,
    splits: SplitRules = DEFAULT_SPLIT_RULES,
) -> ImportResult:
    """Imports pictures sorted into folders by class.

    Raises:
        BadInputError: the folder is missing, mixes folders of splits and of classes, or has a folder of no known class.
        NothingToAnalyseError: no picture is left.
        UsageError: the pattern is no regular expression with a group.
    """
    folder = folder.resolve()
    pattern = _pattern(patient_pattern)
    intake = Intake(folder.name, labels)
    if pattern is None:
        intake.note("no patient ids: each picture counts as a patient (give --patient-pattern if file names tell)")
    for top, allowed in _tops(folder):
        for file in sorted(path for path in top.rglob("*") if path.is_file()):
            _take_file(intake, file, top, folder, allowed, source, pattern)
    return intake.finish(folder, splits)


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(f"--patient-pattern '{text}' is no regular expression: {error}") from error
    if not pattern.groups:
        raise UsageError(f"--patient-pattern '{text}' has no group: put the part that is the patient's id in parentheses")
    return pattern


def _tops(folder: Path) -> list[tuple[Path, tuple[str, ...]]]:
    """The folders above the class folders, and the sections their pictures may go to."""
    if not folder.is_dir():
        raise BadInputError(f"{folder} is no folder")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    sections = {path: section_of(path.name) for path in folders}
    if not any(sections.values()):
        return [(folder, SECTIONS)]
    others = [path.name for path, section in sections.items() if section is None]
    if others:
        raise BadInputError(f"{folder} mixes folders of splits with others ({', '.join(others)}): name the folder to import, or move these")
    return [(path, (section,)) for path, section in sections.items() if section]


def _take_file(
    intake: Intake, file: Path, top: Path, root: Path, allowed: tuple[str, ...], source: str | None, pattern: re.Pattern[str] | None
) -> None:
    path = file.relative_to(top)
    if file.name.startswith(".") or not is_picture(file):
        intake.leave_out(f"no picture by its name ({file.suffix or 'no suffix'})", file)
        return
    if len(path.parts) == 1:
        intake.leave_out("in no class folder", file)
        return
    label = intake.label(path.parts[0])
    if label == DROP:
        intake.leave_out(f"class folder '{path.parts[0]}' is mapped to {DROP}", file)
        return
    match = pattern.search(file.name) if pattern else None
    if pattern and match is None:
        intake.alter("file name in which the pattern finds no patient's id: counted as a patient of its own")
    item = DatalistItem(id="", image=relative(file, root), label=label, patient_id=match[1] if match else None, source=source)
    intake.add(item, file, allowed)
