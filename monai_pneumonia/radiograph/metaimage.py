"""MetaImage files (.mha, .mhd) with one slice, by ITK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from monai_pneumonia.errors import PneumoniaError, RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph.grey_levels import constant_warning, unit_range
from monai_pneumonia.radiograph.orientation import displayed
from monai_pneumonia.radiograph.types import Radiograph, check_size, known_spacing, one_line


def read_metaimage(path: Path) -> Radiograph:
    """Reads a MetaImage of one slice, upright by its direction; the identity, in ITK's LPS, is columns to the right and rows down.

    Raises:
        UnreadableImageError: damaged, cut short, its data file missing, with values that are not finite, or ITK is not installed.
        RejectedImageError: a volume, colours, or too many pixels.
    """
    try:
        import itk
    except ImportError as error:
        raise UnreadableImageError(f"{path}: MetaImage files need the package itk: install it, or give DICOM, PNG or NIfTI") from error
    try:
        header = itk.MetaImageIO.New(FileName=str(path))
        header.ReadImageInformation()
        sizes = [int(header.GetDimensions(axis)) for axis in range(header.GetNumberOfDimensions())]
        slice_axis = _slice_axis(path, sizes)
        if header.GetNumberOfComponents() != 1:
            # ITK's Python has no image type for most kinds of colours.
            raise RejectedImageError(f"{path}: {header.GetNumberOfComponents()} values a pixel: give a grey picture, or colours as PNG")
        array = np.asarray(itk.array_from_image(itk.imread(str(path), imageio=itk.MetaImageIO.New())))
        return _radiograph(header, array, sizes, slice_axis)
    except (PneumoniaError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableImageError(f"{path}: cannot be read as MetaImage ({one_line(error)}): write or copy it anew") from error


def _slice_axis(path: Path, sizes: list[int]) -> int | None:
    """Which of three axes has one slice only, the last that does; None where there are just two axes."""
    if len(sizes) == 2:
        check_size(path, *sizes)
        return None
    if len(sizes) != 3 or 1 not in sizes:
        raise RejectedImageError(
            f"{path}: holds an array of {' x '.join(map(str, sizes))}, more than one slice: give one radiograph a file"
        )
    axis = max(index for index, size in enumerate(sizes) if size == 1)
    check_size(path, *(size for index, size in enumerate(sizes) if index != axis))
    return axis


def _radiograph(header: Any, array: np.ndarray, sizes: list[int], slice_axis: int | None) -> Radiograph:
    axes = [axis for axis in range(len(sizes)) if axis != slice_axis]
    # ITK's arrays count axes from the last.
    grey, warnings = unit_range(array.reshape(sizes[axes[1]], sizes[axes[0]]))
    directions = [(*header.GetDirection(axis), 0.0)[:3] for axis in axes]
    picture, exchanged, orientation_warnings = displayed(grey.T, *directions)
    spacing = [float(header.GetSpacing(axis)) for axis in axes]
    across, down = spacing if exchanged else spacing[::-1]
    pixels = np.ascontiguousarray(picture)
    return Radiograph(
        pixels=pixels,
        format="metaimage",
        warnings=(*warnings, *orientation_warnings, *constant_warning(pixels)),
        pixel_spacing=known_spacing(down, across),
    )
