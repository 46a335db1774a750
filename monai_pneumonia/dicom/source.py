"""What results take over from their source image: patient, study and references, with badly written values mended."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID_dictionary
from pydicom.valuerep import PersonName

from monai_pneumonia.dicom.gate import read_file_tags
from monai_pneumonia.dicom.identifiers import is_uid, mended_date, mended_time, moment_of
from monai_pneumonia.errors import PneumoniaError, UnreadableImageError
from monai_pneumonia.radiograph.dicom_tags import code, parts, unchecked_values

UTF_8 = "ISO_IR 192"

# What results are filed by: one value each, carried as it is or not at all.
_FILED_BY = ("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID")
_TEXTS = ("ReferringPhysicianName", "StudyDescription")
# Attributes that results must state, if only as empty ones.
_EMPTY_WHERE_ABSENT = ("PatientName", "PatientID", "AccessionNumber", "StudyID", "ReferringPhysicianName")
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Far beyond what any of them may hold: the sign of a damaged length that swallowed what follows.
_LONGEST_TEXT = 1024
_SEXES = ("M", "F", "O")
_YES_NO = ("YES", "NO")
_DIRECTION = re.compile(r"[APRLHF]{1,3}")
_AGE = re.compile(r"(\d{1,3})([DWMY]?)")
_COMPRESSION_METHODS = ("ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_13818_2", "ISO_14496_10")
HEADER_TAGS = (
    *("SpecificCharacterSet", "Modality", *_UIDS, *_FILED_BY, *_TEXTS),
    *("PatientBirthDate", "PatientSex", "PatientAge"),
    *(f"{moment}{part}" for moment in ("Content", "Acquisition", "Series", "Study", "InstanceCreation") for part in ("Date", "Time")),
    *("Rows", "Columns", "NumberOfFrames", "PatientOrientation", "BurnedInAnnotation"),
    *("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
)


def read_header(path: str | os.PathLike[str]) -> Dataset:
    """Reads what results take over from a DICOM file; see :func:`mended_header`.

    Raises:
        UnreadableImageError: the file is damaged, or lacks an identifier without which no result can refer to it.
    """
    dataset = read_file_tags(Path(path), HEADER_TAGS)
    try:
        return mended_header(dataset)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{path}: {error}") from error


def mended_header(source: Dataset) -> Dataset:
    """The patient's and the study's attributes and the identifiers of an image, as results may state them.

    Ages such as 62 become 062Y, dates such as 1995.07.20 become 19950720; what cannot be mended is left empty. Texts become
    UTF-8. Nothing of the pixels is kept but their number.

    Raises:
        UnreadableImageError: an identifier without which no result can refer to the image is missing or no UID, its SOP class is
            none of the standard's, what results are filed by (name, numbers) cannot be carried as it is, or its tags are damaged.
    """
    with unchecked_values():
        try:
            return _mended(source)
        except (PneumoniaError, MemoryError):
            raise
        except Exception as error:
            # The error's text may quote what the file says, of whomever.
            raise UnreadableImageError(f"its tags are damaged ({type(error).__name__}): export the image anew") from error


def _mended(source: Dataset) -> Dataset:
    header = Dataset()
    header.SpecificCharacterSet = UTF_8
    for keyword in _UIDS:
        setattr(header, keyword, stated_uid(source, keyword))
    if header.SOPClassUID not in UID_dictionary:
        raise UnreadableImageError("its SOP class is none of the standard's: export it as CR or DX image")
    header.Modality = code(source, "Modality") or "CR"
    for keyword in (*_FILED_BY, *_TEXTS):
        text = _filed_by(source, keyword) if keyword in _FILED_BY else _text(source, keyword)
        if text or keyword in _EMPTY_WHERE_ABSENT:
            setattr(header, keyword, text)
    _add_person(header, source)
    _add_moments(header, source)
    _add_picture(header, source)
    return header


def stated_uid(source: Dataset, keyword: str) -> str:
    """A UID of an image.

    Raises:
        UnreadableImageError: it is missing or none; the error names the keyword alone.
    """
    value = source.get(keyword)
    if not is_uid(value):
        raise UnreadableImageError(f"{keyword} is {'missing' if not value else 'no valid UID'}: results cannot refer to it; export it anew")
    return str(value)


def _filed_by(source: Dataset, keyword: str) -> str:
    """A text that results are filed by, exactly as the source has it but for blanks around it.

    Raises:
        UnreadableImageError: it has several values, or cannot be a text as it stands; the error names the keyword alone.
    """
    value = source.get(keyword) or ""
    several = not isinstance(value, (str, PersonName))
    text = str(value).strip("\0 ")
    # Of a name, letters in an undeclared character set are lost; the patient may still be known by the identifier.
    known_otherwise = keyword == "PatientName" and str(source.get("PatientID") or "").strip("\0 ")
    unreadable = any(letter < " " or letter == "\x7f" or (letter == "\ufffd" and not known_otherwise) for letter in text)
    if several or unreadable or len(text) > _LONGEST_TEXT:
        fault = "has several values, or none that is a text" if several else "is far too long, or holds characters that are no text"
        raise UnreadableImageError(f"{keyword} {fault}: results could be filed under another patient; correct it and export the image anew")
    return text


def _text(source: Dataset, keyword: str) -> str:
    """A text on one line; of several parts the first; empty where it is none, or far too long."""
    value = source.get(keyword)
    if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
        value = value[0] if len(value) else ""
    text = "".join(letter for letter in str(value or "") if letter.isprintable() and letter != "\\").strip()
    return text if len(text) <= _LONGEST_TEXT else ""


def _add_person(header: Dataset, source: Dataset) -> None:
    header.PatientBirthDate = mended_date(source.get("PatientBirthDate"))
    sex = code(source, "PatientSex")
    header.PatientSex = sex if sex in _SEXES else ""
    age = mended_age(source.get("PatientAge"))
    if age:
        header.PatientAge = age


def mended_age(value: object) -> str:
    """An age as three digits and D, W, M or Y; bare numbers are years; empty where it is no age."""
    match = _AGE.fullmatch(str(value or "").strip().upper())
    return f"{int(match[1]):03d}{match[2] or 'Y'}" if match else ""


def _add_moments(header: Dataset, source: Dataset) -> None:
    header.StudyDate = mended_date(source.get("StudyDate"))
    header.StudyTime = mended_time(source.get("StudyTime"))
    header.ContentDate, header.ContentTime = moment_of(source)


def _add_picture(header: Dataset, source: Dataset) -> None:
    header.Rows, header.Columns = int(source.get("Rows") or 0), int(source.get("Columns") or 0)
    if header.Rows < 1 or header.Columns < 1:
        raise UnreadableImageError("its tags state no size: results could not be placed on it; export it anew")
    directions = list(parts(source, "PatientOrientation"))
    valid = len(directions) == 2 and all(map(_DIRECTION.fullmatch, directions))
    header.PatientOrientation = directions if valid else ""
    if code(source, "BurnedInAnnotation") in _YES_NO:
        header.BurnedInAnnotation = code(source, "BurnedInAnnotation")
    lossy = code(source, "LossyImageCompression") == "01"
    header.LossyImageCompression = "01" if lossy else "00"
    if lossy:
        _add_compression(header, source)


def _add_compression(header: Dataset, source: Dataset) -> None:
    method = code(source, "LossyImageCompressionMethod")
    if method in _COMPRESSION_METHODS:
        header.LossyImageCompressionMethod = method
    try:
        ratio = float(source.get("LossyImageCompressionRatio") or 0)
    except (TypeError, ValueError):
        return
    if ratio > 0 and math.isfinite(ratio):
        header.LossyImageCompressionRatio = f"{ratio:.6g}"
