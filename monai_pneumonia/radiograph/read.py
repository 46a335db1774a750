"""Any file to a radiograph: the format is told by the content, whatever the file is called."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

from monai_pneumonia.errors import NotEnoughMemoryError, UnreadableImageError
from monai_pneumonia.radiograph.types import Radiograph

SUPPORTED = "DICOM (CR, DX), PNG, JPEG, TIFF, BMP, NIfTI or MetaImage"

_HEAD_LENGTH = 1024
_RASTER_STARTS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG
    b"BM",
    *(b"II*\x00", b"MM\x00*"),  # TIFF
    *(b"GIF87a", b"GIF89a"),
    *(b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),  # JPEG 2000
)
_GZIP_START = b"\x1f\x8b"
_METAIMAGE_KEYS = (b"ObjectType", b"NDims", b"Comment")
_NIFTI_HEADER_LENGTHS = {348: 1, 540: 2}


def read_radiograph(path: str | os.PathLike[str]) -> Radiograph:
    """Reads a chest X-ray from a DICOM, PNG, JPEG, TIFF, BMP, NIfTI or MetaImage file, told apart by content.

    Args:
        path: the file.

    Returns:
        the picture as displayed: upright, dense tissue bright, float32 [H, W] in [0, 1].

    Raises:
        UnreadableImageError: the file is missing, damaged, cut short, or none of these formats.
        RejectedImageError: it is no single projection radiograph: another modality, several frames or slices, too many pixels.
        NotEnoughMemoryError: it needs more memory than there is.
    """
    file = Path(path)
    try:
        return _read(file)
    except MemoryError as error:
        raise NotEnoughMemoryError.of(file) from error


def _read(file: Path) -> Radiograph:
    head = _head(file)
    # Imported where they are needed: nibabel and ITK take long to load, and few files need them.
    if head[128:132] == b"DICM" or _begins_with_a_tag(head):
        from monai_pneumonia.radiograph.dicom import read_dicom

        return read_dicom(file, has_preamble=head[128:132] == b"DICM")
    if head.startswith(_RASTER_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        from monai_pneumonia.radiograph.raster import read_raster

        return read_raster(file)
    compressed = head.startswith(_GZIP_START)
    version = _nifti_version(_unzipped_head(file) if compressed else head)
    if version:
        from monai_pneumonia.radiograph.nifti import read_nifti

        return read_nifti(file, compressed, version)
    if head.lstrip().startswith(_METAIMAGE_KEYS) and b"DimSize" in head:
        from monai_pneumonia.radiograph.metaimage import read_metaimage

        return read_metaimage(file)
    raise UnreadableImageError(f"{file}: {'empty' if not head else 'no picture in a format that is understood'}: give {SUPPORTED}")


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_HEAD_LENGTH)
    except FileNotFoundError as error:
        raise UnreadableImageError(f"{file} does not exist: check the path") from error
    except OSError as error:
        raise UnreadableImageError(f"{file} cannot be read ({error.strerror}): give a file that can be opened") from error


def _unzipped_head(file: Path) -> bytes:
    try:
        with gzip.open(file) as stream:
            return stream.read(_HEAD_LENGTH)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableImageError(f"{file}: a damaged gzip file ({type(error).__name__}): copy it anew") from error


def _begins_with_a_tag(head: bytes) -> bool:
    """Whether a file begins with a tag of group 0002 or 0008, as DICOM files without preamble do (little endian)."""
    return head[:2] in (b"\x02\x00", b"\x08\x00") and len(head) > 8 and head[3] == 0 and b"\x08\x00\x60\x00" in head


def _nifti_version(head: bytes) -> int | None:
    """1 or 2 for a NIfTI header in one file, either byte order; None for anything else."""
    for order in ("little", "big"):
        version = _NIFTI_HEADER_LENGTHS.get(int.from_bytes(head[:4], order))  # type: ignore[arg-type]
        magic = head[344:347] if version == 1 else head[4:7]
        if version and magic == f"n+{version}".encode():
            return version
    return None
