"""COVID-19 Image Data Collection (Cohen et al. 2020): published cases with a hierarchy of findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from monai_pneumonia.data.datalist import DatalistItem
from monai_pneumonia.data.importers.intake import DEFAULT_LABEL_RULES, DROP, ImportResult, Intake, LabelRules, find_one, relative
from monai_pneumonia.data.importers.tables import read_table
from monai_pneumonia.data.splits import DEFAULT_SPLIT_RULES, SplitRules

FRONTAL_VIEWS = ("PA", "AP", "AP Supine", "AP Erect")
# A finding stands for all below it ('Pneumonia/Viral' for 'Pneumonia/Viral/SARS'), but plain 'Pneumonia' for itself alone: kinds
# of pneumonia that are neither bacterial nor viral are none of its candidates.
MAPPING: Mapping[str, str | None] = {
    "No Finding": "normal",
    "Pneumonia": "pneumonia_unspecified",
    "Pneumonia/Bacterial": "bacterial",
    "Pneumonia/Viral": "viral",
    "Pneumonia/Viral/COVID-19": "covid19",
    "Pneumonia/Fungal": None,
    "Pneumonia/Lipoid": None,
    "Pneumonia/Aspiration": None,
    "Tuberculosis": None,
    "Unknown": None,
    "todo": None,
}


def import_covid19(
    folder: Annotated[Path, "The folder that holds metadata.csv and images/."],
    *,
    source: Annotated[str, "What to call the collection."] = "cohen",
    labels: LabelRules = DEFAULT_LABEL_RULES,
    splits: SplitRules = DEFAULT_SPLIT_RULES,
) -> ImportResult:
    """Imports the COVID-19 Image Data Collection: its frontal X-rays.

    Findings become bacterial, viral, covid19, normal or (plain 'Pneumonia') pneumonia_unspecified; fungal, lipoid and aspiration pneumonia,
    tuberculosis and unknown ones are kept without a label, or left out with --map FINDING=drop.

    Raises:
        BadInputError: the table or a column is missing, or a finding is unknown.
        NothingToAnalyseError: no picture is left.
    """
    folder = folder.resolve()
    table = read_table(
        find_one(folder, "metadata.csv"),
        ["patientid", "sex", "age", "finding", "view", "modality", "folder", "filename", "license"],
    )
    rules = labels.over(MAPPING)
    intake = Intake(folder.name, rules)
    unlabelled: Counter[str] = Counter()
    for row in table.rows:
        file = folder / row["folder"] / row["filename"]
        reason = _why_not(row, file)
        known = _known_finding(row["finding"], rules.mapping)
        label = intake.label(known) if reason is None else None
        if label == DROP:
            reason = f"finding '{row['finding']}' is mapped to {DROP}"
        if reason:
            intake.leave_out(reason, file)
            continue
        if label is None:
            unlabelled[row["finding"]] += 1
        item = DatalistItem(
            id="",
            image=relative(file, folder),
            label=label,
            patient_id=f"{source}-{row['patientid']}" if row["patientid"] else None,
            source=source,
            view=row["view"],
            age=intake.age(row["age"]),
            sex=intake.sex(row["sex"]),
            license=row["license"] or "unspecified",
        )
        intake.add(item, file)
    if unlabelled:
        intake.note("kept without a label: " + ", ".join(f"{finding} ({count})" for finding, count in sorted(unlabelled.items())))
    return intake.finish(folder, splits)


def _why_not(row: Mapping[str, str], file: Path) -> str | None:
    """Why a row cannot be imported, or None."""
    if row["modality"] != "X-ray":
        return f"modality is {row['modality'] or 'blank'}, not X-ray"
    if row["view"] not in FRONTAL_VIEWS:
        return f"view is {row['view'] or 'blank'}, not frontal"
    return None if file.is_file() else "picture is not there"


def _known_finding(finding: str, mapping: Mapping[str, str | None]) -> str:
    """The finding itself, or the nearest one above it that the mapping knows (never the plain top of the hierarchy)."""
    steps = finding.split("/")
    for length in range(len(steps), 1, -1):
        above = "/".join(steps[:length])
        if above in mapping:
            return above
    return finding
