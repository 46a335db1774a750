"""Writes a phantom as a DICOM file: Computed Radiography, or Digital X-Ray for presentation."""

from __future__ import annotations

import datetime
import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from monai_pneumonia import RESEARCH_USE_ONLY, __version__
from monai_pneumonia.data.phantoms.generate import Phantom
from monai_pneumonia.data.phantoms.plan import PlannedItem

SYNTAXES = {"explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian, "rle": RLELossless}
_PYDICOM = int(pydicom.__version__.split(".")[0])
_EARLIEST_DAY = datetime.date(2020, 1, 1)
_VIEW_CODES = {"PA": ("272479007", "SCT", "postero-anterior"), "AP": ("399348003", "SCT", "antero-posterior")}
# Source to detector, and patient's middle to detector, in mm.
_DISTANCES = {"PA": (1800.0, 120.0), "AP": (1050.0, 120.0)}


@dataclass(frozen=True)
class DicomForm:
    """How a picture is stored.

    Attributes:
        modality: ``CR`` or ``DX``.
        photometric: ``MONOCHROME1`` (low values bright) or ``MONOCHROME2``.
        bits: bits stored: 8, 10, 12 or 16.
        windowed: whether a window says which stored values are black and white; otherwise the full range is.
        transfer_syntax: ``explicit``, ``implicit`` or ``rle``.
    """

    modality: str
    photometric: str
    bits: int
    windowed: bool
    transfer_syntax: str

    @property
    def stored_range(self) -> tuple[int, int]:
        """The stored values that mean black and white, the other way round for MONOCHROME1."""
        largest = 2**self.bits - 1
        # A detector's range is seldom used in full; the window then says what is.
        return (round(0.06 * largest), round(0.91 * largest)) if self.windowed and self.bits > 8 else (0, largest)


_FORMS = tuple(itertools.product(("CR", "DX"), ("MONOCHROME2", "MONOCHROME1"), (12, 8, 16, 10)))


def form_of(index: int, transfer_syntax: str) -> DicomForm:
    """How item ``index`` is stored: neighbouring items differ, and 16 in a row hold every form once.

    Args:
        index: the item's number.
        transfer_syntax: ``explicit``, ``implicit``, ``rle``, or ``mixed`` for all three in turn.
    """
    modality, photometric, bits = _FORMS[(index * 7) % len(_FORMS)]
    syntax = tuple(SYNTAXES)[index % len(SYNTAXES)] if transfer_syntax == "mixed" else transfer_syntax
    # The standard wants a window in every DX image for presentation that has no table of display values.
    return DicomForm(modality, photometric, bits, modality == "DX" or index % 2 == 0, syntax)


def write_dicom(path: Path, phantom: Phantom, item: PlannedItem, transfer_syntax: str) -> None:
    """Writes a picture as a DICOM file. The same item gives the same bytes, identifiers included.

    Args:
        path: the file to write.
        phantom: the picture.
        item: whose picture it is.
        transfer_syntax: as for :func:`form_of`.
    """
    form = form_of(item.index, transfer_syntax)
    dataset = Dataset()
    _add_patient_and_study(dataset, item)
    _add_series_and_equipment(dataset, item, form)
    _add_image(dataset, phantom, item, form)
    if form.modality == "DX":
        _add_digital_x_ray(dataset)
    _add_pixels(dataset, phantom, form)
    _save(dataset, path, form)


def stored_values(phantom: Phantom, form: DicomForm) -> np.ndarray:
    """The picture's stored values [H, W], uint8 or uint16."""
    low, high = form.stored_range
    bright = 1 - phantom.pixels if form.photometric == "MONOCHROME1" else phantom.pixels
    return np.round(low + bright.astype(np.float64) * (high - low)).astype(np.uint8 if form.bits == 8 else np.uint16)


def _uid(item: PlannedItem, *parts: str) -> UID:
    """A UID of the form 2.25.<UUID as a number>, the same for the same item of the same data set."""
    spec = item.spec
    text = "/".join(("monai-pneumonia phantom", str(spec.seed), str(spec.size), str(spec.patient), *parts))
    return UID(f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}")


def _first_day(item: PlannedItem) -> datetime.date:
    days = np.random.default_rng([item.spec.seed, item.spec.patient, 200]).integers(0, 700)
    return _EARLIEST_DAY + datetime.timedelta(days=int(days))


def _add_patient_and_study(dataset: Dataset, item: PlannedItem) -> None:
    spec = item.spec
    first_day = _first_day(item)
    day = first_day + datetime.timedelta(days=3 * spec.visit)
    dataset.PatientName = f"Phantom^{spec.patient:04d}"
    dataset.PatientID = item.patient_id
    dataset.PatientBirthDate = f"{first_day.year - int(spec.age) - 1:04d}0101"
    dataset.PatientSex = spec.sex
    dataset.PatientAge = f"{int(spec.age):03d}Y"
    dataset.StudyInstanceUID = _uid(item, "study", str(spec.visit))
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day.strftime("%Y%m%d")
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "120000"
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = str(spec.visit + 1)
    dataset.AccessionNumber = ""
    dataset.StudyDescription = "Chest, synthetic phantom"


def _add_series_and_equipment(dataset: Dataset, item: PlannedItem, form: DicomForm) -> None:
    dataset.Modality = form.modality
    dataset.SeriesInstanceUID = _uid(item, "series", str(item.spec.visit))
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = f"Chest {item.spec.view}"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = item.spec.view
    dataset.Manufacturer = "monai-pneumonia"
    dataset.ManufacturerModelName = "phantoms"
    dataset.SoftwareVersions = __version__
    dataset.DeviceSerialNumber = "0"
    dataset.InstitutionName = item.spec.hospital.name


def _add_image(dataset: Dataset, phantom: Phantom, item: PlannedItem, form: DicomForm) -> None:
    dataset.SOPClassUID = ComputedRadiographyImageStorage if form.modality == "CR" else DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = _uid(item, "image", str(item.spec.visit))
    dataset.InstanceNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY"] if form.modality == "CR" else ["ORIGINAL", "PRIMARY", ""]
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImageComments = f"Synthetic picture. {RESEARCH_USE_ONLY}"
    dataset.BurnedInAnnotation = "NO"
    to_detector, from_middle = _DISTANCES[item.spec.view]
    growth = to_detector / (to_detector - from_middle)
    dataset.DistanceSourceToDetector = f"{to_detector:.1f}"
    dataset.DistanceSourceToPatient = f"{to_detector - from_middle:.1f}"
    if form.modality == "DX":
        dataset.EstimatedRadiographicMagnificationFactor = f"{growth:.4f}"
    dataset.ImagerPixelSpacing = [f"{size * growth:.5f}" for size in phantom.pixel_spacing]
    dataset.PixelSpacing = [f"{size:.5f}" for size in phantom.pixel_spacing]
    dataset.PixelSpacingCalibrationType = "GEOMETRY"
    dataset.PixelSpacingCalibrationDescription = "At the middle of the phantom"
    if form.windowed:
        low, high = form.stored_range
        dataset.WindowCenter = f"{(low + high + 1) / 2:.1f}"
        dataset.WindowWidth = str(high - low + 1)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _add_digital_x_ray(dataset: Dataset) -> None:
    """What a DX image must say beyond a CR image."""
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageLaterality = "U"
    dataset.AnatomicRegionSequence = [_code("51185008", "SCT", "Chest")]
    dataset.ViewCodeSequence = [_code(*_VIEW_CODES[dataset.ViewPosition])]
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = []
    dataset.PositionerType = "COLUMN"
    dataset.DetectorType = "DIRECT"
    dataset.DetectorActiveShape = "RECTANGLE"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.LossyImageCompression = "00"
    dataset.AcquisitionContextSequence = []


def _add_pixels(dataset: Dataset, phantom: Phantom, form: DicomForm) -> None:
    values = stored_values(phantom, form)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = form.photometric
    if form.modality == "DX":
        dataset.PresentationLUTShape = "INVERSE" if form.photometric == "MONOCHROME1" else "IDENTITY"
    dataset.Rows, dataset.Columns = values.shape
    dataset.BitsAllocated = 8 * values.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = form.bits, form.bits - 1
    dataset.PixelRepresentation = 0
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if form.bits == 8 and form.transfer_syntax == "explicit" else "OW"


def _save(dataset: Dataset, path: Path, form: DicomForm) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = SYNTAXES[form.transfer_syntax if form.transfer_syntax != "rle" else "explicit"]
    meta.ImplementationClassUID = UID("2.25.258410187043128914301837492031846592731")
    meta.ImplementationVersionName = "MONAI_PNEUMONIA"
    dataset.file_meta = meta
    if _PYDICOM < 3:
        dataset.is_little_endian = True
        dataset.is_implicit_VR = form.transfer_syntax == "implicit"
    if form.transfer_syntax == "rle":
        # From version 3 on compressing would otherwise give the image a random identifier.
        keep = {"generate_instance_uid": False} if _PYDICOM >= 3 else {}
        dataset.compress(RLELossless, encoding_plugin="pylibjpeg", **keep)
        dataset["PixelData"].VR = "OB"
    if _PYDICOM >= 3:
        dataset.save_as(path, enforce_file_format=True)
    else:
        dataset.save_as(path, write_like_original=False)
