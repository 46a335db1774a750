"""The stored values of a DICOM object, by pydicom's decoders, under pydicom 2.4 and 3 alike."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import numpy as np
import pydicom
from pydicom import config, uid
from pydicom.dataset import Dataset
from pydicom.uid import UID, UID_dictionary

from monai_pneumonia.radiograph.codestream import declared_shape, is_cut_short
from monai_pneumonia.radiograph.dicom_tags import quoted_uid
from monai_pneumonia.radiograph.gdcm_process import decode_by_gdcm
from monai_pneumonia.radiograph.types import one_line

_GDCM = "gdcm"
# Which decoder reads which transfer syntax, best first. Named instead of left to pydicom, so that a picture looks the same whatever else is
# installed, and so that the GPL decoder pylibjpeg-libjpeg is never called. GDCM, which may end its process, only where nothing else reads.
_DECODERS: Mapping[str, tuple[str, ...]] = {
    "1.2.840.10008.1.2.4.50": ("pillow",),  # JPEG Baseline
    "1.2.840.10008.1.2.4.51": (_GDCM, "pillow"),  # JPEG Extended
    "1.2.840.10008.1.2.4.57": (_GDCM,),  # JPEG Lossless
    "1.2.840.10008.1.2.4.70": (_GDCM,),  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": ("pyjpegls",),  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81": ("pyjpegls",),  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90": ("pylibjpeg", "pillow"),  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91": ("pylibjpeg", "pillow"),  # JPEG 2000
    "1.2.840.10008.1.2.4.201": ("pylibjpeg",),  # High-throughput JPEG 2000 lossless
    "1.2.840.10008.1.2.4.202": ("pylibjpeg",),  # the same, resolution first
    "1.2.840.10008.1.2.4.203": ("pylibjpeg",),  # High-throughput JPEG 2000
    "1.2.840.10008.1.2.5": ("pylibjpeg", "pydicom"),  # RLE
}
_NAMES_IN_PYDICOM_2 = {"pyjpegls": "jpeg_ls", "pydicom": "rle"}
_PYDICOM_3 = int(pydicom.__version__.split(".")[0]) >= 3


class DecodingError(Exception):
    """The pixels of a DICOM object cannot be decoded; the message says why in one line, and names no patient."""


def stored_values(dataset: Dataset) -> tuple[np.ndarray, str]:
    """Decodes the pixels of a single-frame object.

    Args:
        dataset: with its Image Pixel module, Pixel Data and file meta information.

    Returns:
        the stored values [H, W] or, in colour, [H, W, 3], as integers of the allocated width; and the photometric interpretation
        that they have now (decoders turn JPEG 2000's YBR_RCT and YBR_ICT into RGB).

    Raises:
        DecodingError: no decoder for the transfer syntax, or none that can read these data.
    """
    # Unchecked: pydicom would quote in a warning what stands in the place of a UID.
    syntax = UID(dataset.file_meta.TransferSyntaxUID, validation_mode=config.IGNORE)
    if syntax not in UID_dictionary or not syntax.is_transfer_syntax:
        raise DecodingError("its transfer syntax is unknown")
    if not syntax.is_compressed or syntax == uid.DeflatedExplicitVRLittleEndian:
        _check_length(dataset)
        return _decoded_by_one_of(dataset, ("numpy",))
    decoders = _DECODERS.get(syntax)
    if decoders is None:
        raise DecodingError(f"no decoder for the transfer syntax, {quoted_uid(syntax)}")
    _check_stream(dataset)
    return _decoded_by_one_of(dataset, decoders)


def _decoded_by_one_of(dataset: Dataset, decoders: tuple[str, ...]) -> tuple[np.ndarray, str]:
    failures = []
    for decoder in decoders:
        try:
            return _decode(dataset, decoder)
        except MemoryError:
            raise
        except BaseException as error:
            # Decoders written in Rust (RLE) panic on damaged data, with an exception that is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            failures.append(f"{decoder}: {one_line(error)}")
    raise DecodingError(f"{quoted_uid(dataset.file_meta.TransferSyntaxUID)}: {'; '.join(failures)}")


def _check_length(dataset: Dataset) -> None:
    """Says in our words what happens most: pixels that end too early."""
    expected, found = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated // 8, len(dataset.PixelData)
    if dataset.PhotometricInterpretation == "YBR_FULL_422":  # stores two samples for three
        expected = expected // 3 * 2
    if found < expected:
        raise DecodingError(f"{found} bytes of pixel data where its tags ask for {expected}: the file was cut short, or the tags are wrong")


def _check_stream(dataset: Dataset) -> None:
    """Compares a compressed stream with the tags: a decoder would allocate what the stream declares, and may fill what is missing."""
    stream = _first_frame(dataset)
    if dataset.file_meta.TransferSyntaxUID == uid.RLELossless:
        # It declares nothing: its decoder goes by the tags.
        return
    shape = declared_shape(stream)
    if shape is None:
        raise DecodingError("the compressed stream does not begin as one of its kind")
    if shape[:2] != (dataset.Rows, dataset.Columns):
        raise DecodingError(f"the compressed stream is {shape[0]} x {shape[1]}, but the tags say {dataset.Rows} x {dataset.Columns}")
    if shape[2] != dataset.SamplesPerPixel:
        raise DecodingError(f"the compressed stream has {shape[2]} samples a pixel, but the tags say {dataset.SamplesPerPixel}")
    if is_cut_short(stream):
        raise DecodingError("the compressed stream ends before its end marker: the file was cut short")


def _first_frame(dataset: Dataset) -> bytes:
    encaps = importlib.import_module("pydicom.encaps")
    if _PYDICOM_3:
        frames = encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    else:
        frames = encaps.generate_pixel_data_frame(dataset.PixelData, 1)
    return bytes(next(frames))


def _decode(dataset: Dataset, decoder: str) -> tuple[np.ndarray, str]:
    if decoder == _GDCM:
        return _decode_by_gdcm(dataset), str(dataset.PhotometricInterpretation)
    return _decode_by_pydicom_3(dataset, decoder) if _PYDICOM_3 else _decode_by_pydicom_2(dataset, decoder)


def _decode_by_pydicom_3(dataset: Dataset, decoder: str) -> tuple[np.ndarray, str]:
    pixels = importlib.import_module("pydicom.pixels")
    values, properties = pixels.get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(
        dataset,
        raw=True,
        decoding_plugin="" if decoder == "numpy" else decoder,
        # Clearing unused bits would wrap the bright pixels of files that state too few bits.
        correct_unused_bits=False,
    )
    return values, str(properties["photometric_interpretation"])


def _decode_by_pydicom_2(dataset: Dataset, decoder: str) -> tuple[np.ndarray, str]:
    dataset.convert_pixel_data(_NAMES_IN_PYDICOM_2.get(decoder, decoder))
    photometric = str(dataset.PhotometricInterpretation)
    return dataset.pixel_array, "RGB" if photometric in ("YBR_RCT", "YBR_ICT") else photometric


def _decode_by_gdcm(dataset: Dataset) -> np.ndarray:
    """JPEG Lossless, and JPEG Extended with 12-bit samples; pydicom has no decoder for the latter but the GPL one."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == uid.JPEGExtended12Bit and (dataset.BitsAllocated != 16 or dataset.BitsStored <= 8 or dataset.SamplesPerPixel != 1):
        raise DecodingError("not 12-bit samples, one a pixel, in 16 bits")
    samples, allocated = dataset.SamplesPerPixel, dataset.BitsAllocated
    image = {
        "syntax": str(syntax),
        # The polarity is applied later, once, for all transfer syntaxes.
        "photometric": "MONOCHROME2" if samples == 1 else str(dataset.PhotometricInterpretation),
        **{"rows": dataset.Rows, "columns": dataset.Columns, "samples": samples, "allocated": allocated},
        **{"stored": dataset.BitsStored, "signed": dataset.PixelRepresentation},
    }
    decoded = decode_by_gdcm(_first_frame(dataset), image)
    values = np.frombuffer(decoded, dtype=f"{'i' if dataset.PixelRepresentation else 'u'}{allocated // 8}")
    return values.reshape(dataset.Rows, dataset.Columns, *(() if samples == 1 else (samples,)))
