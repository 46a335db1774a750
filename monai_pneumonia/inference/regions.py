"""From an attention map to lesion regions."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from monai_pneumonia.inference.report import LesionRegion

# A thousandth of a chest film of 35 x 43 cm is a spot of 12 mm: less than one cell of the attention map at any input size in use.
SMALLEST_SHARE = 0.001

_TOUCHING = np.ones((3, 3), dtype=bool)


def find_lesions(
    attention_map: np.ndarray, threshold: float, pixel_spacing: tuple[float, float] | None = None
) -> tuple[np.ndarray, tuple[LesionRegion, ...]]:
    """The connected regions in which a map reaches a threshold; pixels that touch at a corner are connected.

    Args:
        attention_map: [H, W] in [0, 1].
        threshold: least value inside a region.
        pixel_spacing: millimetres between rows and between columns, where known.

    Returns:
        the label map, uint16 [H, W] with 0 outside, and the regions by falling area. Regions smaller than
        :data:`SMALLEST_SHARE` of the picture (0.1 %) are left out of both.
    """
    found, count = ndimage.label(attention_map >= threshold, structure=_TOUCHING)
    areas = np.bincount(found.ravel(), minlength=count + 1)[1:]
    large = np.flatnonzero(areas >= SMALLEST_SHARE * attention_map.size)
    by_area = large[np.argsort(-areas[large], kind="stable")] + 1
    numbers = np.zeros(count + 1, dtype=np.uint16)
    numbers[by_area] = np.arange(1, len(by_area) + 1)
    labels = numbers[found]
    slices = ndimage.find_objects(labels, max_label=len(by_area))
    regions = tuple(
        _describe(number, place, labels[place] == number, attention_map[place], pixel_spacing)
        for number, place in enumerate(slices, start=1)
    )
    return labels, regions


def _describe(
    number: int, place: tuple[slice, slice], inside: np.ndarray, attention: np.ndarray, pixel_spacing: tuple[float, float] | None
) -> LesionRegion:
    """A region, from the cut-outs of the label map and the attention map at its place."""
    rows, columns = place
    values = attention[inside]
    area = int(inside.sum())
    return LesionRegion(
        number=number,
        box=(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start),
        area_pixels=area,
        area_mm2=None if pixel_spacing is None else area * pixel_spacing[0] * pixel_spacing[1],
        mean_attention=float(values.mean(dtype=np.float64)),
        peak_attention=float(values.max()),
    )
