"""The tags of a DICOM file that reading a radiograph needs, and what of them may be repeated in messages.

A damaged length lets one value swallow those that follow it, patient names too. So only codes of closed lists are ever quoted, and pydicom,
whose warnings quote every value that breaks a rule, converts the values without checking them.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, UID_dictionary

from monai_pneumonia.errors import RejectedImageError
from monai_pneumonia.radiograph.types import MAX_PIXELS

# Only these are asked for: names and identifiers of patients do not come into memory as such.
_TAGS = [
    *(
        "SOPClassUID",
        "Modality",
        "PresentationIntentType",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PlanarConfiguration",
    ),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("PresentationLUTShape", "PixelPaddingValue", "PixelPaddingRangeLimit", "PatientOrientation"),
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
    *(f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
]
OVERLAY_BIT_POSITIONS = [(group, 0x0102) for group in range(0x6000, 0x6020, 2)]

# The defined terms of Modality (PS3.3 C.7.3.1.1.1).
_MODALITIES = frozenset(
    (
        *("ANN", "AR", "ASMT", "AU", "BDUS", "BI", "BMD", "CD", "CF", "CFM", "CP", "CR", "CS", "CT", "CTPROTOCOL", "DD", "DF", "DG"),
        *("DM", "DMS", "DOC", "DS", "DX", "EC", "ECG", "EEG", "EM", "EMG", "EOG", "EPS", "ES", "FA", "FID", "FS", "GM", "HC", "HD", "IO"),
        *("IOL", "IVOCT", "IVUS", "KER", "KO", "LEN", "LP", "LS", "M3D", "MA", "MG", "MR", "MS", "NM", "OAM", "OCT", "OP", "OPM", "OPR"),
        *("OPT", "OPTBSV", "OPTENF", "OPV", "OSS", "OT", "PA", "PLAN", "POS", "PR", "PT", "PX", "REG", "RESP", "RF", "RG", "RTDOSE"),
        *("RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD", "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SC", "SEG", "SM", "SMR", "SR", "SRF"),
        *("ST", "STAIN", "TEXTUREMAP", "TG", "US", "VA", "VF", "XA", "XAPROTOCOL", "XC", "XR"),
    )
)

# A grey picture of 16 bits, and room for what else a file may hold.
_MAX_INFLATED = 2 * MAX_PIXELS + 2**26
_PIECE = 2**20

# What bounds the time for the tags to a few seconds. A radiograph takes some hundred reads, a large report ten thousand; the longest values
# are tables of 128 KB, several in a sequence.
_MOST_READS = 50_000
_LONGEST_VALUE = 2**21
_MOST_ITEMS = 10_000
_TOO_MANY_TAGS = "has more tags than any radiograph, which would take long to read"
_ITEM_STARTS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_PIXEL_DATA, _VRS_OF_PIXELS = 0x7FE00010, (None, "OB", "OW", "UN")

_validation_lock = threading.RLock()


def read_tags(path: Path, has_preamble: bool, tags: Sequence[str] | None = None) -> Dataset:
    """Reads the tags and converts all their values, silently.

    Args:
        path: the file.
        has_preamble: False for files that begin with their first tag.
        tags: keywords of the tags to read; None reads those that a radiograph's pixels need.

    Returns:
        the data set; its file meta information states a transfer syntax in any case.

    Raises:
        RejectedImageError: a deflated file that inflates to more than any radiograph takes, or tags that would take minutes to read.
        Exception: whatever pydicom raises; its text may quote the file.
    """
    with unchecked_values(), _BoundedReader(io.FileIO(path)) as file:
        wanted: list[Any] = [*_TAGS, *OVERLAY_BIT_POSITIONS] if tags is None else list(tags)
        try:
            dataset = _read(file, has_preamble, wanted)
            _convert(dataset.file_meta)
            _convert(dataset)
        except Exception as error:
            beyond = _beyond_measure(error)
            if beyond is None:
                raise
            raise RejectedImageError(f"{path}: {beyond}: give a single-frame CR or DX image") from None
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _syntax_found(dataset)
    return dataset


class _BeyondMeasureError(Exception):
    """What a file holds is more than any radiograph's."""


def _beyond_measure(error: BaseException | None) -> _BeyondMeasureError | None:
    """The error that lies under others: pydicom puts one of its own in the place of any that it meets while it reads a sequence."""
    while error is not None and not isinstance(error, _BeyondMeasureError):
        error = error.__cause__ or error.__context__
    return error


class _BoundedReader(io.BufferedReader):
    """A file that is read a bounded number of times: pydicom reads once or more for each tag and item, wanted or not."""

    name = None  # pydicom asks for it; a stream in memory has none
    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads up to some bytes."""
        self._reads += 1
        if self._reads > _MOST_READS:
            raise _BeyondMeasureError(_TOO_MANY_TAGS)
        return super().read(size)


def _read(file: _BoundedReader, has_preamble: bool, tags: list[Any]) -> Dataset:
    """The data set of an open file; a deflated one is inflated here, for pydicom would do it whole, and a small file may hold gigabytes."""
    read_preamble(file, force=not has_preamble)
    meta = _read_file_meta_info(file)
    deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    if deflated:
        file = _BoundedReader(_inflated(file))  # type: ignore[arg-type]
    else:
        file.seek(0)
    dataset = pydicom.dcmread(file, force=deflated or not has_preamble, specific_tags=tags, stop_before_pixels="PixelData" not in tags)
    if deflated or not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset(meta)
    return dataset


def _inflated(file: _BoundedReader) -> io.BytesIO:
    inflater, inflated, piece = zlib.decompressobj(-zlib.MAX_WBITS), io.BytesIO(), b""
    while not inflater.eof and (piece := inflater.unconsumed_tail or file.read(_PIECE)):
        inflated.write(inflater.decompress(piece, _PIECE))
        if inflated.tell() > _MAX_INFLATED:
            raise _BeyondMeasureError(f"inflates to more than the {_MAX_INFLATED // 1_000_000} MB that a radiograph may have")
    if not inflater.eof:
        raise zlib.error("the stream ends before its end")
    inflated.seek(0)
    return inflated


def _convert(dataset: Dataset) -> None:
    """Has pydicom convert all values, which it puts off, but none that would take long."""
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and raw.value and not (tag == _PIXEL_DATA and raw.VR in _VRS_OF_PIXELS):
            _check_value(raw.value)
        element = dataset[tag]
        for item in element.value or () if element.VR == "SQ" else ():
            _convert(item)


def _check_value(value: bytes) -> None:
    if len(value) > _LONGEST_VALUE or sum(map(value.count, _ITEM_STARTS)) > _MOST_ITEMS:
        raise _BeyondMeasureError(_TOO_MANY_TAGS)


@contextmanager
def unchecked_values() -> Iterator[None]:
    """Reads and writes values as they are, and keeps pydicom and highdicom from saying what is odd about them.

    They quote such values in warnings and in their logs. The switches are global, hence the lock.
    """
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    with _validation_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modes = config.settings.reading_validation_mode, config.settings.writing_validation_mode
        levels = [logger.level for logger in loggers]
        config.settings.reading_validation_mode = config.settings.writing_validation_mode = config.IGNORE
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            config.settings.reading_validation_mode, config.settings.writing_validation_mode = modes
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _syntax_found(dataset: Dataset) -> UID:
    """The transfer syntax by which pydicom read a file that states none; pydicom 3 renamed what 2.4 kept in two attributes."""
    if hasattr(dataset, "original_encoding"):
        implicit, little_endian = dataset.original_encoding
    else:
        implicit, little_endian = dataset.is_implicit_VR, dataset.is_little_endian
    return UID("1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little_endian else "1.2.840.10008.1.2.2")


def code(dataset: Dataset, keyword: str) -> str:
    """A coded value without padding, in capitals; empty where it is absent or has several parts."""
    value = dataset.get(keyword)
    return value.strip().upper() if isinstance(value, str) else "" if not value else "?"


def parts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The parts of a coded value, each without padding and in capitals; none where it is absent."""
    value = dataset.get(keyword) or ()
    return tuple(str(part).strip().upper() for part in ((value,) if isinstance(value, str) else value))


def quoted_modality(modality: str) -> str:
    """The modality if it is one of the standard's, else a word for it."""
    return modality if modality in _MODALITIES else "of no known kind"


def quoted_uid(uid: str) -> str:
    """The name of a UID of the standard, else a word for it."""
    return str(UID(uid).name) if uid in UID_dictionary else "unknown"
