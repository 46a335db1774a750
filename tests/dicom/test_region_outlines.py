"""Polygons around regions: exact corners, image coordinates, holes, touching corners, bounded length."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon
from scipy import ndimage

from monai_pneumonia.dicom.outlines import _TOLERANCE, MOST_POINTS, _boundary, outline

TOUCHING = np.ones((3, 3), dtype=bool)


def enclosed(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose middle lies within a polygon of (column, row), bool [H, W]."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    middles = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    return Polygon(polygon).contains_points(middles).reshape(shape)


def area(polygon: np.ndarray) -> float:
    """The shoelace formula."""
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())) / 2


def largest_region(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask, structure=TOUCHING)
    return labels == 1 + int(np.argmax(ndimage.sum_labels(mask, labels, range(1, count + 1))))


def test_a_single_pixel_is_a_unit_square() -> None:
    mask = np.zeros((5, 7), dtype=bool)
    mask[2, 4] = True
    # Upper left corner of the pixel in row 2, column 4 is (4, 2): columns come first.
    assert outline(mask).tolist() == [[4, 2], [5, 2], [5, 3], [4, 3], [4, 2]]


def test_a_rectangle_keeps_its_four_corners() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[3:8, 10:25] = True
    assert outline(mask).tolist() == [[10, 3], [25, 3], [25, 8], [10, 8], [10, 3]]


def test_regions_at_the_edges_reach_the_edges() -> None:
    polygon = outline(np.ones((4, 6), dtype=bool))
    assert polygon.min(axis=0).tolist() == [0, 0]
    assert polygon.max(axis=0).tolist() == [6, 4]


def test_holes_are_filled() -> None:
    mask = np.ones((6, 6), dtype=bool)
    mask[2:4, 2:4] = False
    assert area(outline(mask)) == 36


def test_pixels_that_touch_at_a_corner_share_one_polygon() -> None:
    mask = np.eye(4, dtype=bool)
    boundary = _boundary(mask)
    assert len(boundary) == 4 * 4 + 1
    assert (enclosed(boundary, mask.shape) == mask).all()
    other = _boundary(mask[::-1])
    assert (enclosed(other, mask.shape) == mask[::-1]).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 14), st.floats(0.2, 0.95))
def test_boundaries_enclose_the_region_and_nothing_else(seed: int, height: int, width: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    mask[height // 2, width // 2] = True
    region = largest_region(mask)
    filled = ndimage.binary_fill_holes(region)
    boundary = _boundary(filled)
    assert (boundary[0] == boundary[-1]).all()
    assert (np.abs(np.diff(boundary, axis=0)).sum(axis=1) == 1).all()
    assert (enclosed(boundary, region.shape) == filled).all()
    assert area(boundary) == filled.sum()
    polygon = outline(region)
    assert len(polygon) >= 4
    assert (polygon[0] == polygon[-1]).all()
    assert all(farthest(corner, polygon) <= _TOLERANCE + 1e-9 for corner in boundary.astype(float))


def farthest(point: np.ndarray, polygon: np.ndarray) -> float:
    """Distance of a point from a closed polygon, stretch by stretch."""
    distances = []
    for first, last in pairwise(polygon):
        along = last - first
        share = min(max(float((point - first) @ along) / max(float(along @ along), 1e-12), 0.0), 1.0)
        distances.append(float(np.linalg.norm(point - first - share * along)))
    return min(distances)


def test_a_disc_keeps_its_area_with_few_points() -> None:
    rows, columns = np.mgrid[:400, :500]
    disc = (rows - 200) ** 2 + (columns - 240) ** 2 < 150**2
    polygon = outline(disc)
    assert area(polygon) == pytest.approx(disc.sum(), rel=0.01)
    assert len(polygon) < 800
    assert polygon.mean(axis=0) == pytest.approx([240, 200], abs=8)


def test_ragged_regions_have_a_bounded_number_of_points() -> None:
    """Teeth three pixels long, a pixel apart: many more corners than one value of a report may hold."""
    mask = np.zeros((600, 3000), dtype=bool)
    mask[300:] = True
    mask[297:300, ::2] = True
    polygon = outline(mask)
    assert 4 <= len(polygon) <= MOST_POINTS


def test_empty_masks_and_several_regions_are_refused() -> None:
    with pytest.raises(ValueError, match="no pixels"):
        outline(np.zeros((4, 4), dtype=bool))
    two = np.zeros((9, 9), dtype=bool)
    two[1, 1] = two[7, 7] = True
    with pytest.raises(ValueError, match="several regions"):
        outline(two)
