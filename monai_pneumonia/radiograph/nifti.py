"""NIfTI files with one slice, by nibabel."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from monai_pneumonia.errors import PneumoniaError, RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph.grey_levels import constant_warning, luma, unit_range
from monai_pneumonia.radiograph.orientation import displayed
from monai_pneumonia.radiograph.types import Radiograph, check_size, known_spacing, one_line

NO_ORIENTATION = "the NIfTI header states no orientation: its first axis is taken as columns from the left, its second as rows from the top"
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


def read_nifti(path: Path, compressed: bool, version: int) -> Radiograph:
    """Reads a NIfTI file of one slice, upright by its affine.

    An affine without rotation, flip or offset (identity, or a positive scale) is what writers put who know of no orientation: memory
    order [column, row] is then taken as upright. An X-ray that is written with its orientation has diag(-1, -1, 1) times the spacing,
    which means the same.

    Args:
        path: the file.
        compressed: whether it is gzipped.
        version: 1 or 2, of the NIfTI format.

    Raises:
        UnreadableImageError: damaged, cut short, or with values that are not finite.
        RejectedImageError: a volume, a series, or too many pixels.
    """
    import nibabel

    image_class = nibabel.Nifti2Image if version == 2 else nibabel.Nifti1Image
    try:
        with _opened(path, compressed) as stream:
            image = image_class.from_stream(stream)
            slice_axis = _slice_axis(path, image.shape)
            # The stream must stay open until the values have been read.
            values = _values(image)
        plane = values.reshape([size for axis, size in enumerate(_three(values.shape)) if axis != slice_axis])
        return _radiograph(image, plane, slice_axis)
    except (PneumoniaError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableImageError(f"{path}: cannot be read as NIfTI ({one_line(error)}): write or copy it anew") from error


def _opened(path: Path, compressed: bool) -> BinaryIO:
    return gzip.open(path, "rb") if compressed else path.open("rb")  # type: ignore[return-value]


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    height, width, depth = (*shape, 1, 1, 1)[:3]
    return height, width, depth


def _slice_axis(path: Path, shape: tuple[int, ...]) -> int:
    """Which of the three spatial axes has one slice only: the last that does."""
    spatial, rest = _three(shape), shape[3:]
    if any(size != 1 for size in rest) or 1 not in spatial:
        raise RejectedImageError(
            f"{path}: holds an array of {' x '.join(map(str, shape))}, more than one slice: give one radiograph a file"
        )
    axis = max(index for index, size in enumerate(spatial) if size == 1)
    check_size(path, *(size for index, size in enumerate(spatial) if index != axis))
    return axis


def _values(image: Any) -> np.ndarray:
    """The stored numbers, unless the header scales them."""
    if image.dataobj.slope == 1.0 and image.dataobj.inter == 0.0:
        return np.asarray(image.dataobj.get_unscaled())
    return np.asarray(image.dataobj)


def _radiograph(image: Any, plane: np.ndarray, slice_axis: int) -> Radiograph:
    grey, warnings = luma(plane) if plane.dtype.names else unit_range(plane)
    axes = [axis for axis in range(3) if axis != slice_axis]
    if _states_orientation(image):
        directions = [image.affine[:3, axis] * _RAS_TO_LPS for axis in axes]
        picture, exchanged, orientation_warnings = displayed(grey, *directions)
    else:
        picture, exchanged, orientation_warnings = grey.T, True, (NO_ORIENTATION,)
    lengths = np.linalg.norm(image.affine[:3, axes], axis=0)
    across, down = lengths if exchanged else lengths[::-1]
    pixels = np.ascontiguousarray(picture)
    return Radiograph(
        pixels=pixels,
        format="nifti",
        warnings=(*warnings, *orientation_warnings, *constant_warning(pixels)),
        pixel_spacing=known_spacing(float(down), float(across)),
    )


def _states_orientation(image: Any) -> bool:
    header = image.header
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        return False
    linear, offset = image.affine[:3, :3], image.affine[:3, 3]
    scale_only = np.array_equal(linear, np.diag(np.diag(linear))) and bool(np.all(np.diag(linear) > 0))
    return not (scale_only and not offset.any())
