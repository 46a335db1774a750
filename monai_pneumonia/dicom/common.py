"""What the three results of an image share: their series, their equipment, and dates that a rerun repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.dicom.algorithm import MANUFACTURER, MODEL_NAME, Algorithm
from monai_pneumonia.dicom.identifiers import ResultIdentifiers
from monai_pneumonia.dicom.source import UTF_8
from monai_pneumonia.inference.report import LesionRegion, LesionReport

REPORT, SEGMENTATION, CAPTURE = "sr", "seg", "sc"
SERIES_NUMBERS = {REPORT: 9901, SEGMENTATION: 9902, CAPTURE: 9903}
SERIES_DESCRIPTIONS = {
    REPORT: "Pneumonia lesions, report (research use only)",
    SEGMENTATION: "Pneumonia lesions, regions (research use only)",
    CAPTURE: "Pneumonia lesions, overlay (research use only)",
}
COMPRESSION = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_LONGEST_TEXT = 64


@dataclass(frozen=True, eq=False)
class ResultContext:
    """What each result of one image is made from.

    Attributes:
        header: of the image, as :func:`monai_pneumonia.dicom.source.mended_header` gives it.
        report: what the recogniser says of the image.
        algorithm: that made the report.
    """

    header: Dataset
    report: LesionReport
    algorithm: Algorithm

    @property
    def identifiers(self) -> ResultIdentifiers:
        """Makes the UIDs and file names."""
        return ResultIdentifiers(str(self.header.SOPInstanceUID), self.algorithm)

    def tracking(self, region: LesionRegion) -> tuple[str, UID]:
        """Name and UID of a region, the same in the report and in the segmentation."""
        return f"{self.region_kind} region {region.number}", self.identifiers.uid("region", str(region.number))

    @property
    def region_kind(self) -> str:
        """What the regions are: lesions only where outlines of lesions trained the map."""
        return "Lesion" if self.report.regions_are_lesions else "Attention"

    def instance(self, kind: str) -> dict[str, Any]:
        """The arguments that highdicom wants for series, instance and equipment of a result."""
        return {
            "series_instance_uid": self.identifiers.uid(kind, "series"),
            "series_number": SERIES_NUMBERS[kind],
            "sop_instance_uid": self.identifiers.uid(kind, "instance"),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MODEL_NAME,
            "software_versions": self.algorithm.version[:_LONGEST_TEXT],
            "device_serial_number": (self.algorithm.weights_sha256 or "none")[:16],
            "series_description": SERIES_DESCRIPTIONS[kind],
        }


def make_repeatable(result: Dataset, header: Dataset) -> None:
    """Puts the source's dates in the place of today's, and takes out what else changes from run to run."""
    result.SpecificCharacterSet = UTF_8
    result.InstanceCreationDate, result.InstanceCreationTime = header.ContentDate, header.ContentTime
    for keyword in ("ContentDate", "ContentTime"):
        if keyword in result:
            setattr(result, keyword, header[keyword].value)
    for keyword in ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"):
        if keyword in result:
            delattr(result, keyword)
    for equipment in result.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in equipment:
            del equipment.ContributionDateTime


def take_over(result: Dataset, header: Dataset, *keywords: str) -> None:
    """Copies those of the source's attributes that it states."""
    for keyword in keywords:
        if keyword in header:
            setattr(result, keyword, header[keyword].value)


def notices(report: LesionReport) -> tuple[str, ...]:
    """What every reader must know, one sentence each."""
    texts = [RESEARCH_USE_ONLY, "Scores of classes are research scores of training labels, never a diagnosis."]
    if not report.lesions:
        texts.append("No region was found: there is no segmentation.")
    if any(region.area_mm2 is not None for region in report.lesions):
        texts.append("Areas in mm2 hold in the plane that the image's pixel spacing is stated for.")
    return (*texts, *report.warnings)
