"""A DICOM object to a radiograph: which objects we take, and the way through decoding and display."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from monai_pneumonia.errors import PneumoniaError, RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph.dicom_display import StoredRange, display_table
from monai_pneumonia.radiograph.dicom_pixels import DecodingError, stored_values
from monai_pneumonia.radiograph.dicom_tags import OVERLAY_BIT_POSITIONS, code, parts, quoted_modality, quoted_uid, read_tags
from monai_pneumonia.radiograph.grey_levels import constant_warning, luma
from monai_pneumonia.radiograph.types import Radiograph, check_size

MODALITIES = ("CR", "DX", "RG")
_CR_IMAGE = "1.2.840.10008.5.1.4.1.1.1"
_DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
_DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
# Radiography, mammography, intra-oral radiography.
_FOR_PROCESSING = (_DX_FOR_PROCESSING, "1.2.840.10008.5.1.4.1.1.1.2.1", "1.2.840.10008.5.1.4.1.1.1.3.1")
RADIOGRAPHY_CLASSES = (_CR_IMAGE, _DX_FOR_PRESENTATION, _DX_FOR_PROCESSING)
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "PALETTE COLOR")
_REQUIRED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel", "PhotometricInterpretation", "PixelRepresentation")
_NUMBERS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel", "PixelRepresentation", "PlanarConfiguration")
_COLOUR_IN_JPEG_2000 = ("YBR_RCT", "YBR_ICT")
_REMEDY = "give a single-frame CR or DX image"


def read_dicom(path: Path, has_preamble: bool = True) -> Radiograph:
    """Reads a projection radiograph from a DICOM file: CR, DX, or a secondary capture whose modality is CR, DX or RG.

    Args:
        path: the file.
        has_preamble: False for old files that begin with their first tag.

    Raises:
        UnreadableImageError: the file is damaged or cut short, has no pixels, or is compressed in a way that no decoder here reads.
        RejectedImageError: another modality, several frames, or too many pixels.
    """
    try:
        dataset = read_tags(path, has_preamble)
        _check_object(path, dataset)
        notes = () if has_preamble else ("the file has no DICOM preamble",)
        radiograph = _radiograph(dataset, *stored_values(dataset))
    except (PneumoniaError, MemoryError):
        raise
    except DecodingError as error:
        raise UnreadableImageError(f"{path}: its pixels cannot be decoded ({error}): export or fetch the image anew") from error
    except Exception as error:
        # The error's text may quote what the file says, of whomever.
        raise UnreadableImageError(f"{path}: damaged ({type(error).__name__} at its tags): export or fetch the image anew") from error
    return replace(radiograph, warnings=(*notes, *radiograph.warnings))


def is_for_processing(dataset: Dataset) -> bool:
    """Whether an image holds a detector's values before the processing that makes the picture people read (PS3.3 C.8.11.1)."""
    return dataset.get("SOPClassUID") in _FOR_PROCESSING or code(dataset, "PresentationIntentType") == "FOR PROCESSING"


def _radiograph(dataset: Dataset, values: np.ndarray, photometric: str) -> Radiograph:
    pixels, warnings = _grey_levels(dataset, values, photometric)
    spacing, spacing_warnings = _pixel_spacing(dataset)
    return Radiograph(
        pixels=pixels,
        format="dicom",
        warnings=(*_acquisition_warnings(dataset), *warnings, *spacing_warnings, *constant_warning(pixels)),
        pixel_spacing=spacing,
    )


def _check_object(path: Path, dataset: Dataset) -> None:
    """Refuses what is no single projection radiograph, before any pixel is decoded."""
    modality, sop_class = code(dataset, "Modality"), code(dataset, "SOPClassUID")
    if modality and modality not in MODALITIES:
        raise RejectedImageError(f"{path}: modality {quoted_modality(modality)} ({quoted_uid(sop_class)}), no radiograph: {_REMEDY}")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise RejectedImageError(f"{path}: {frames} frames: {_REMEDY}")
    if not dataset.get("PixelData"):
        raise UnreadableImageError(f"{path}: holds no pixels, or was cut short: {_REMEDY}, whole")
    if not modality and sop_class not in RADIOGRAPHY_CLASSES:
        raise RejectedImageError(f"{path}: states no modality and is of class '{quoted_uid(sop_class)}', not CR or DX: {_REMEDY}")
    missing = [keyword for keyword in _REQUIRED if dataset.get(keyword) is None]
    if missing:
        raise UnreadableImageError(f"{path}: lacks {', '.join(missing)}: export the image anew")
    # Decoders quote what they cannot use; texts in the place of numbers are damage, and may be anybody's.
    if any(not isinstance(dataset.get(keyword) or 0, int) for keyword in _NUMBERS) or dataset.PixelRepresentation not in (0, 1):
        raise UnreadableImageError(f"{path}: the tags that describe its pixels are damaged: export or fetch the image anew")
    if code(dataset, "PhotometricInterpretation") not in (*_GREY, *_COLOUR, *_COLOUR_IN_JPEG_2000):
        raise UnreadableImageError(f"{path}: its photometric interpretation is not supported: export it as MONOCHROME2")
    check_size(path, int(dataset.Rows), int(dataset.Columns))
    allocated, stored, samples = int(dataset.BitsAllocated), int(dataset.BitsStored), int(dataset.SamplesPerPixel)
    if allocated not in (8, 16) or not 1 <= stored <= allocated or samples not in (1, 3):
        raise UnreadableImageError(
            f"{path}: {stored} bits stored of {allocated} allocated, {samples} samples a pixel: export it with 8 or 16 bits allocated"
        )


def _grey_levels(dataset: Dataset, values: np.ndarray, photometric: str) -> tuple[np.ndarray, tuple[str, ...]]:
    if photometric in _COLOUR:
        return luma(_rgb(dataset, values, photometric))
    if photometric not in _GREY or values.ndim != 2:
        raise DecodingError(f"{photometric} with {dataset.SamplesPerPixel} samples a pixel is not supported")
    values, bits, warnings = _clean_bits(dataset, values)
    stored = StoredRange(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else StoredRange(0, 2**bits - 1)
    shown = StoredRange(int(values.min()), int(values.max()))
    table, table_warnings = display_table(dataset, stored, shown)
    return table[values.astype(np.int32) - stored.low], (*warnings, *table_warnings)


def _clean_bits(dataset: Dataset, values: np.ndarray) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """The stored values without overlays or garbage in unused bits, and the number of bits that they really need."""
    bits, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    spare = allocated - bits
    native = not UID(dataset.file_meta.TransferSyntaxUID).is_encapsulated
    shift = int(dataset.get("HighBit", bits - 1)) + 1 - bits
    if native and 0 < shift <= spare:
        values = values >> shift
    if dataset.PixelRepresentation:
        signed = values.astype(f"i{allocated // 8}")
        return (signed << spare) >> spare, bits, ()
    unsigned = values.astype(f"u{allocated // 8}")
    highest = int(unsigned.max())
    if highest < 2**bits:
        return unsigned, bits, ()
    if any(dataset.get(tag) is not None and dataset[tag].value for tag in OVERLAY_BIT_POSITIONS):
        return unsigned & (2**bits - 1), bits, ("overlays in unused bits of the pixels were left out",)
    needed = highest.bit_length()
    return unsigned, needed, (f"values up to {highest} need {needed} bits, though {bits} are stated: taken as {needed}",)


def _rgb(dataset: Dataset, values: np.ndarray, photometric: str) -> np.ndarray:
    """Colours as uint8 [H, W, 3]."""
    processing = _processing()
    if photometric == "PALETTE COLOR":
        values = processing.apply_color_lut(values, dataset)
    elif photometric != "RGB":
        values = processing.convert_color_space(values, photometric, "RGB")
    if values.dtype.itemsize > 1:
        # Palettes of 8 bits may be written in words of 16.
        bits = dataset.RedPaletteColorLookupTableDescriptor[2] if photometric == "PALETTE COLOR" else dataset.BitsStored
        values = (values.astype(np.uint32) * 255 // (2 ** int(bits) - 1)).clip(0, 255)
    return values.astype(np.uint8)


def _processing():  # type: ignore[no-untyped-def]
    """The pixel functions of pydicom, which moved in version 3."""
    try:
        from pydicom import pixels
    except ImportError:
        from pydicom.pixel_data_handlers import util as pixels
    return pixels


def _pixel_spacing(dataset: Dataset) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        value = dataset.get(keyword)
        if not value:
            continue
        try:
            row, column = (float(part) for part in value)
        except (TypeError, ValueError):
            row = column = 0.0
        if row > 0 and column > 0 and np.isfinite(row * column):
            return (row, column), ()
        return None, (f"{keyword} is not two lengths above zero: left out",)
    return None, ()


def _acquisition_warnings(dataset: Dataset) -> tuple[str, ...]:
    warnings: list[str] = []
    if is_for_processing(dataset):
        warnings.append("detector data for processing, not for presentation: they look unlike the pictures that networks learn from")
    orientation = parts(dataset, "PatientOrientation")
    if len(orientation) == 2:
        row, column = orientation
        if row.startswith(("A", "P")) or column.startswith(("A", "P")):
            warnings.append("PatientOrientation is that of a lateral or axial view: networks here learn from frontal ones")
        if (row and not row.startswith(("L", "P", "A"))) or (column and not column.startswith("F")):
            warnings.append("PatientOrientation says that the picture lies mirrored or turned: shown as stored")
    return tuple(warnings)
