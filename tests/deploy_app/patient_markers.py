"""Every element that may tell who a patient is, and files in which each has a value that stands nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pydicom
from bad_files import write_chest
from pydicom.config import disable_value_validation
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

_PATIENT_GROUP = 0x0010
# The names of persons and of where they work, wherever the standard has them; the other groups know only treatment plans.
_PLACES = re.compile(r"Institution|Physician|Operator|Department|Telephone|Telecom|Address")
_PLACE_GROUPS = (0x0008, 0x0032, 0x0038, 0x0040)
_FURTHER = (
    *("AccessionNumber", "StudyID", "StudyDescription", "SeriesDescription", "AdmissionID", "ServiceEpisodeID", "StationName"),
    *("DeviceSerialNumber", "ProtocolName", "ImageComments", "RequestedProcedureDescription", "PerformedProcedureStepDescription"),
)


def _identifies(tag: int, vr: str, keyword: str) -> bool:
    group = tag >> 16
    if vr == "US":  # no value of two bytes stands nowhere else
        return False
    return group == _PATIENT_GROUP or vr == "PN" or keyword in _FURTHER or (group in _PLACE_GROUPS and bool(_PLACES.search(keyword)))


PATIENT_ELEMENTS: dict[str, str] = {
    keyword: vr for tag, (vr, _, _, _, keyword) in sorted(DicomDictionary.items()) if keyword and _identifies(tag, vr, keyword)
}
"""Keyword to value representation, as pydicom's dictionary knows them."""

_MARKERS: dict[str, Callable[[int], str]] = {
    "PN": lambda number: f"Marked{number:04d}^Person",
    "DA": lambda number: f"19{number % 90 + 10:02d}{number % 12 + 1:02d}{number % 28 + 1:02d}",
    "TM": lambda number: f"101112.{number:06d}",
    "DT": lambda number: f"19430217101112.{number:06d}",
    "AS": lambda number: f"{number:03d}Y",
    "DS": lambda number: f"{7_000_000 + number}.25",
    "FL": lambda number: f"{7_000_000 + number}.5",
    "IS": lambda number: f"{700_000_000 + number}",
}


def write_marked(path: Path, number: int, **tags: object) -> dict[str, str]:
    """Writes chest X-ray ``number`` with a value of its own in every element of :data:`PATIENT_ELEMENTS`.

    Returns:
        keyword to that value, as text.
    """
    write_chest(path, number, **{"study": None, **tags})
    dataset, markers = pydicom.dcmread(path), {}
    with disable_value_validation():
        for index, (keyword, vr) in enumerate(PATIENT_ELEMENTS.items()):
            marker = _MARKERS.get(vr, lambda index: f"MARKED{index:04d}X")(index)
            markers[keyword] = marker
            if vr == "SQ":
                item = Dataset()
                item.CodeValue, item.CodeMeaning, item.PersonName, item.PatientID = [marker] * 4
                setattr(dataset, keyword, [item])
            else:
                setattr(dataset, keyword, float(marker) if vr == "FL" else marker)
        pydicom.dcmwrite(path, dataset)
    return markers
