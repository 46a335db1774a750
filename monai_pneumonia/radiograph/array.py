"""A picture that is in memory already."""

from __future__ import annotations

import numpy as np

from monai_pneumonia.errors import RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph.grey_levels import constant_warning, unit_range
from monai_pneumonia.radiograph.types import Radiograph, check_size


def radiograph_from_array(array: np.ndarray) -> Radiograph:
    """Takes an upright array with bright bones as a radiograph.

    Args:
        array: [H, W] or [1, H, W], booleans, integers or floats; scaled to [0, 1] as :func:`unit_range` says.

    Raises:
        RejectedImageError: another shape, or no pixel, or too many.
        UnreadableImageError: values that are not finite real numbers.
    """
    values = array[0] if array.ndim == 3 and array.shape[0] == 1 else array
    if values.ndim != 2:
        raise RejectedImageError(f"an array of shape {list(array.shape)} is no single radiograph: give one grey picture as [H, W]")
    check_size("array", *values.shape)
    try:
        pixels, warnings = unit_range(values)
    except ValueError as error:
        raise UnreadableImageError(f"array: {error}: give finite grey levels") from error
    return Radiograph(pixels=np.ascontiguousarray(pixels), format="array", warnings=(*warnings, *constant_warning(pixels)))
