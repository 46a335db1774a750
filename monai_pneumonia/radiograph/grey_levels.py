"""Numbers of any type to grey levels in [0, 1]."""

from __future__ import annotations

import numpy as np

CONSTANT_PICTURE = "all pixels have the same value"


def unit_range(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scales an array to [0, 1] by what its type can hold, where the type says so.

    Unsigned integers and booleans are divided by their type's largest value, so that 8-bit and 16-bit copies of a picture agree.
    Floats within [0, 1] are kept. Everything else is stretched from its least to its greatest value, with a warning.

    Args:
        values: any real type, any shape, finite.

    Returns:
        float32 of the same shape in [0, 1], and the warnings.
    """
    if values.dtype == np.bool_:
        return values.astype(np.float32), ()
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return (values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)), ()
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "f" and low >= 0.0 and high <= 1.0:
        return values.astype(np.float32), ()
    if values.dtype.kind in "iu" and low >= 0 and high <= 255 and values.dtype.itemsize > 1:
        # Writers that only know wide integers store 8-bit pictures in them.
        return (values.astype(np.float32) / np.float32(255.0)), (f"grey levels are {values.dtype} within 0..255: taken as 8-bit",)
    warning = f"grey levels are {values.dtype} in {low:g}..{high:g}, whose full range nothing states: stretched from least to greatest"
    if high <= low:
        return np.zeros(values.shape, dtype=np.float32), (warning,)
    scaled = (values.astype(np.float64) - low) / (high - low)
    return scaled.astype(np.float32), (warning,)


def constant_warning(pixels: np.ndarray) -> tuple[str, ...]:
    """A warning where a picture shows nothing at all."""
    return (CONSTANT_PICTURE,) if pixels.min() == pixels.max() else ()
