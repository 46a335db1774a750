"""Numbers of any type to grey levels in [0, 1]."""

from __future__ import annotations

import numpy as np
from PIL import Image

CONSTANT_PICTURE = "all pixels have the same value"


def unit_range(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scales an array to [0, 1] by what its type can hold, where the type says so.

    Unsigned integers of 8 and 16 bits are divided by their type's largest value, so that 8-bit and 16-bit copies of a picture agree;
    wider or signed ones within 0..255 are taken as 8-bit. Floats within [0, 1] are kept. Everything else is stretched from its least to
    its greatest value.

    Args:
        values: booleans, integers or floats, any shape with at least one element.

    Returns:
        float32 of the same shape in [0, 1], and warnings where the type left the range open.

    Raises:
        ValueError: values that are not finite real numbers.
    """
    if values.dtype.kind not in "buif":
        raise ValueError(f"grey levels of type {values.dtype} are not understood")
    if values.dtype.kind == "b":
        return values.astype(np.float32), ()
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max), ()
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some grey levels are not finite numbers")
    if values.dtype.kind == "f":
        if low >= 0.0 and high <= 1.0:
            return values.astype(np.float32), ()
    elif low >= 0 and high <= 255:
        return values.astype(np.float32) / np.float32(255.0), (f"grey levels are {values.dtype} within 0..255: taken as 8-bit",)
    return _stretched(values, low, high), (f"grey levels are {values.dtype} in {low:g}..{high:g}: stretched from least to greatest",)


def _stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    if high <= low:
        return np.zeros(values.shape, dtype=np.float32)
    # Halved first: the distance between the extremes of a float may exceed the largest float.
    scaled = (values.astype(np.float64) / 2 - low / 2) / (high / 2 - low / 2)
    return scaled.clip(0.0, 1.0).astype(np.float32)


def luma(colours: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Brightness of 8-bit colours by ITU-R 601, through Pillow, so that all formats agree to the last bit.

    Args:
        colours: uint8 [H, W, 3] or [H, W, 4] (whose fourth channel is left out), or [H, W] of records with the fields R, G, B.

    Returns:
        float32 [H, W] in [0, 1], and a warning.

    Raises:
        ValueError: anything else.
    """
    if colours.dtype.names:
        colours = np.stack([colours[name] for name in colours.dtype.names[:3]], axis=-1)
    if colours.dtype != np.uint8 or colours.ndim != 3 or colours.shape[2] not in (3, 4):
        raise ValueError(f"colours as {colours.dtype} {list(colours.shape)} are not understood: 8 bits and three channels are")
    grey = np.asarray(Image.fromarray(np.ascontiguousarray(colours[..., :3])).convert("L"))
    return unit_range(grey)[0], ("a colour picture: its brightness is used",)


def constant_warning(pixels: np.ndarray) -> tuple[str, ...]:
    """A warning where a picture shows nothing at all."""
    return (CONSTANT_PICTURE,) if pixels.min() == pixels.max() else ()
