"""The gate: may this DICOM object be read as a frontal chest X-ray? Judged by its tags alone, before any pixel is decoded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydicom.dataset import Dataset

from monai_pneumonia.dicom.algorithm import MANUFACTURER, MODEL_NAME
from monai_pneumonia.errors import PneumoniaError, RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph.dicom import MODALITIES, RADIOGRAPHY_CLASSES, is_for_processing
from monai_pneumonia.radiograph.dicom_tags import code, parts, quoted_modality, quoted_uid, read_tags, unchecked_values

GATE_TAGS = (
    *("SOPClassUID", "Modality", "Manufacturer", "ManufacturerModelName", "NumberOfFrames", "PresentationIntentType"),
    *("ViewPosition", "ViewCodeSequence", "PatientOrientation", "BodyPartExamined", "AnatomicRegionSequence"),
)

_FRONTAL_VIEWS = frozenset({"AP", "PA", "FRONTAL"})
# What may stand beside them: how the patient was placed, which changes nothing here.
_BESIDE_A_VIEW = frozenset({"CHEST", "THORAX", "ERECT", "UPRIGHT", "STANDING", "SITTING", "SEMIERECT", "SUPINE", "PORTABLE", "MOBILE"})
# Defined terms of View Position (PS3.3 C.8.1.1.4, C.8.11.5.1.1) and words in use; only these are ever quoted.
_OTHER_VIEWS = frozenset(
    ("LL", "RL", "LLD", "RLD", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "LAT", "LATERAL", "LLAT", "RLAT", "AXIAL", "OBLIQUE", "LORDOTIC")
)
_CHEST_WORDS = frozenset({"CHEST", "THORAX", "THORACIC", "THORACAL", "TORAX", "TORACE", "LUNG", "LUNGS", "CXR"})
_BESIDE_A_CHEST = frozenset({"PA", "AP", "PORT", "PORTABLE", "FRONTAL", "ERECT", "SUPINE", "XRAY", "X", "RAY", "VIEW", "VIEWS", "CAVITY"})
# Codes of SNOMED CT, and the older ones of SNOMED RT (CID 4010 and CID 4031).
_FRONTAL_CODES = frozenset({"399348003", "R-10206", "272479007", "R-40888", "R-10214", "399033003", "R-10202"})
_CHEST_CODES = frozenset({"51185008", "T-D3000", "43799004", "T-D3200", "39607008", "T-28000", "302551006", "816094009"})


class RefusalReason(str, Enum):
    """Why an image is not read."""

    OWN_RESULT = "own_result"
    MODALITY = "modality"
    FRAMES = "frames"
    FOR_PROCESSING = "for_processing"
    VIEW = "view"
    BODY_PART = "body_part"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Refusal:
    """Why an image is not read, and what would be.

    Attributes:
        reason: for programs and counts.
        sentence: for people; repeats nothing of the file but codes of the standard's closed lists.
    """

    reason: RefusalReason
    sentence: str


class RefusedImageError(RejectedImageError):
    """An image that the gate refuses.

    Attributes:
        refusal: why.
    """

    def __init__(self, message: str, refusal: Refusal) -> None:
        super().__init__(message)
        self.refusal = refusal


def check_image(path: str | os.PathLike[str]) -> None:
    """Reads the tags of a DICOM file and refuses what is no frontal chest X-ray.

    Raises:
        RefusedImageError: another modality, view or body part, several frames, raw detector data, or a result of this application.
        UnreadableImageError: the file is missing, damaged, or no DICOM file.
        MemoryError: its tags need more memory than there is.
    """
    file = Path(path)
    refusal = refusal_of(read_file_tags(file, GATE_TAGS))
    if refusal is not None:
        raise RefusedImageError(f"{file}: {refusal.sentence}", refusal)


def read_file_tags(file: Path, tags: Iterable[str]) -> Dataset:
    """Some tags of a DICOM file, with or without preamble.

    Raises:
        UnreadableImageError: the file is missing, damaged, or no DICOM file.
        MemoryError: its tags need more memory than there is.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(132)
        with unchecked_values():
            dataset = read_tags(file, head[128:] == b"DICM", list(tags))
    except (PneumoniaError, MemoryError):
        raise
    except OSError as error:
        raise UnreadableImageError(f"{file} cannot be read ({error.strerror or 'no reason given'}): check the path") from error
    except Exception as error:
        # The error's text may quote what the file says, of whomever.
        raise UnreadableImageError(f"{file}: no DICOM file, or damaged ({type(error).__name__} at its tags): export it anew") from error
    if not code(dataset, "Modality") and not code(dataset, "SOPClassUID"):
        raise UnreadableImageError(f"{file}: no DICOM image (it states neither modality nor SOP class): give CR or DX images")
    return dataset


def refusal_of(dataset: Dataset) -> Refusal | None:
    """Judges an image by its tags: Modality CR, DX or RG of whatever SOP class, one frame, for presentation, frontal, chest if stated.

    Args:
        dataset: with the tags of :data:`GATE_TAGS`.

    Returns:
        why it is not read; None where it may be read.
    """
    for judge in (_own_result, _modality, _frames, _processing, _view, _body_part):
        try:
            refusal = judge(dataset)
        except MemoryError:
            raise
        except Exception as error:  # a damaged sequence, whose values must not be quoted
            return Refusal(RefusalReason.DAMAGED, f"its tags are damaged ({type(error).__name__}): export the image anew")
        if refusal is not None:
            return refusal
    return None


def _own_result(dataset: Dataset) -> Refusal | None:
    if code(dataset, "Manufacturer") == MANUFACTURER.upper() and code(dataset, "ManufacturerModelName") == MODEL_NAME.upper():
        return Refusal(RefusalReason.OWN_RESULT, "is a result of this application itself: give the image that it was made from")
    return None


def _modality(dataset: Dataset) -> Refusal | None:
    modality, sop_class = code(dataset, "Modality"), code(dataset, "SOPClassUID")
    if modality in MODALITIES or (not modality and sop_class in RADIOGRAPHY_CLASSES):
        return None
    stated = f"modality {quoted_modality(modality)}" if modality else "no modality"
    return Refusal(RefusalReason.MODALITY, f"{stated} ({quoted_uid(sop_class)}), no chest X-ray: give CR, DX or RG images")


def _frames(dataset: Dataset) -> Refusal | None:
    frames = int(dataset.get("NumberOfFrames") or 1)
    return None if frames <= 1 else Refusal(RefusalReason.FRAMES, f"{frames} frames: give a single-frame CR or DX image")


def _processing(dataset: Dataset) -> Refusal | None:
    if not is_for_processing(dataset):
        return None
    return Refusal(
        RefusalReason.FOR_PROCESSING,
        "raw detector data (FOR PROCESSING), not the picture that people read: give the image FOR PRESENTATION",
    )


def _view(dataset: Dataset) -> Refusal | None:
    words = _words(code(dataset, "ViewPosition"))
    if words and not (words & _FRONTAL_VIEWS and words <= _FRONTAL_VIEWS | _BESIDE_A_VIEW):
        known = sorted(words & (_OTHER_VIEWS | _FRONTAL_VIEWS))
        return Refusal(RefusalReason.VIEW, f"ViewPosition is {' '.join(known) or 'of no known kind'}: give a frontal (AP or PA) view")
    codes = _codes(dataset, "ViewCodeSequence")
    if codes and not codes & _FRONTAL_CODES:
        return Refusal(RefusalReason.VIEW, "ViewCodeSequence names no frontal view: give a frontal (AP or PA) view")
    # The directions of rows and columns in the patient: neither runs along A (to the front) or P (to the back) in a frontal view.
    if any(direction.startswith(("A", "P")) for direction in parts(dataset, "PatientOrientation")):
        return Refusal(RefusalReason.VIEW, "PatientOrientation is that of a lateral or axial view: give a frontal (AP or PA) view")
    return None


def _body_part(dataset: Dataset) -> Refusal | None:
    words = _words(code(dataset, "BodyPartExamined"))
    if words and not (words & _CHEST_WORDS and words <= _CHEST_WORDS | _BESIDE_A_CHEST):
        return Refusal(RefusalReason.BODY_PART, "BodyPartExamined is another than CHEST: give a chest X-ray")
    codes = _codes(dataset, "AnatomicRegionSequence")
    if codes and not codes & _CHEST_CODES:
        return Refusal(RefusalReason.BODY_PART, "AnatomicRegionSequence names another region than the chest: give a chest X-ray")
    return None


def _words(text: str) -> frozenset[str]:
    """The words of a coded value; a value that has several parts or no text gives the word ``?``."""
    return frozenset(re.findall(r"[^\W_]+|\?", text))


def _codes(dataset: Dataset, keyword: str) -> set[str]:
    return {code(item, "CodeValue") for item in dataset.get(keyword) or ()} - {""}
