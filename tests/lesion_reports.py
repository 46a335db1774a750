"""Reports made by hand, for tests of what is written of them, and radiographs that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from radiograph_files import write_dicom

from monai_pneumonia.dicom import Algorithm
from monai_pneumonia.inference import LesionReport
from monai_pneumonia.inference.regions import find_lesions
from monai_pneumonia.radiograph import Radiograph

WEIGHTS = "ab" * 32
THRESHOLD = 0.5
ALGORITHM = Algorithm("0.1.0", WEIGHTS, operating_point=0.4, lesion_threshold=THRESHOLD, settings_sha256="cd" * 32)
PROBABILITIES = {"normal": 0.2, "bacterial": 0.4, "viral": 0.3, "covid19": 0.1}
STUDY, SERIES, INSTANCE = "1.2.826.0.1.1", "1.2.826.0.1.2", "1.2.826.0.1.3"


def lesion_report(attention: np.ndarray, spacing: tuple[float, float] | None = None, **changes: Any) -> LesionReport:
    """The report "pneumonia" with the regions of a map [H, W] where it reaches 0.5."""
    labels, lesions = find_lesions(attention, THRESHOLD, spacing)
    values: dict[str, Any] = {
        "probabilities": PROBABILITIES,
        "p_pneumonia": 0.8,
        "decision": "pneumonia",
        "uncertainty": 0.5,
        "attention_map": attention.astype(np.float32),
        "map_kind": "attention",
        "lesion_labels": labels,
        "lesions": lesions,
        "model_version": "0.1.0",
        "weights_sha256": WEIGHTS,
        "warnings": ("the picture has only 60 x 44 pixels: enlarged for the network",),
    }
    return LesionReport(**{**values, **changes})


def healthy_report(size: tuple[int, int]) -> LesionReport:
    """The report "no pneumonia", without regions."""
    probabilities = {"normal": 0.9, "bacterial": 0.05, "viral": 0.03, "covid19": 0.02}
    return lesion_report(np.zeros(size), p_pneumonia=0.1, decision="no_pneumonia", probabilities=probabilities)


def two_spots(height: int, width: int) -> np.ndarray:
    """A map [H, W] with a large spot at the lower left and a small one at the upper right."""
    rows, columns = np.mgrid[:height, :width]
    large = np.exp(-(((rows - height * 0.65) / (height * 0.16)) ** 2) - ((columns - width * 0.25) / (width * 0.1)) ** 2)
    small = 0.9 * np.exp(-(((rows - height * 0.25) / (height * 0.06)) ** 2) - ((columns - width * 0.75) / (width * 0.12)) ** 2)
    return np.clip(large + small, 0, 1)


def spots_of(radiograph: Radiograph) -> LesionReport:
    """The report of an image with two regions."""
    return lesion_report(two_spots(*radiograph.pixels.shape), radiograph.pixel_spacing, warnings=radiograph.warnings)


def write_chest(path: Path, values: np.ndarray, syntax: str = "", **tags: Any) -> Path:
    """A CR file with study, patient and dates; tags replace or, where None, remove those that it has."""
    own = {
        "SOPInstanceUID": INSTANCE,
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "StudyDate": "20200102",
        "StudyTime": "101112",
        "ContentDate": "20200103",
        "ContentTime": "131415",
        "PatientBirthDate": "19500607",
        "PatientSex": "F",
        "PatientAge": "069Y",
        "AccessionNumber": "secret-acc",
        "StudyID": "7",
        "ReferringPhysicianName": "Secret^Doctor",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PatientOrientation": ["L", "F"],
        "PixelSpacing": ["0.2", "0.4"],
    }
    wanted = {**own, **tags}
    removed = {keyword for keyword, value in wanted.items() if value is None and keyword in own}
    return write_dicom(path, values, syntax, **{keyword: value for keyword, value in wanted.items() if keyword not in removed})
