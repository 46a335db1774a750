"""Connected regions of a map, measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_pneumonia.inference.regions import SMALLEST_SHARE, find_lesions


def plain_regions(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """Regions by flood filling, pixels that touch at a corner included."""
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    regions = []
    while left:
        region, border = set(), [left.pop()]
        while border:
            row, column = border.pop()
            region.add((row, column))
            near = {(row + down, column + across) for down in (-1, 0, 1) for across in (-1, 0, 1)} & left
            left -= near
            border.extend(near)
        regions.append(region)
    return regions


# Region 1: rows 2 to 4, columns 1 to 5 of .8, one pixel of it 1. Region 2: one row of three pixels at .5.
def test_boxes_areas_and_values_closed_form() -> None:
    attention = np.zeros((10, 12), dtype=np.float32)
    attention[2:5, 1:6] = 0.8
    attention[3, 3] = 1.0
    attention[8, 7:10] = 0.5
    labels, (first, second) = find_lesions(attention, 0.5, pixel_spacing=(0.2, 0.1))
    assert (first.number, first.box, first.area_pixels, first.peak_attention) == (1, (1, 2, 5, 3), 15, 1.0)
    assert first.mean_attention == pytest.approx((14 * 0.8 + 1.0) / 15)
    assert first.area_mm2 == pytest.approx(15 * 0.02)
    assert (second.number, second.box, second.area_pixels, second.peak_attention) == (2, (7, 8, 3, 1), 3, 0.5)
    assert labels.dtype == np.uint16
    assert np.array_equal(labels > 0, attention >= 0.5)
    assert labels[3, 3] == 1
    assert labels[8, 8] == 2


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), height=st.integers(1, 20), width=st.integers(1, 20), threshold=st.floats(0.1, 0.9))
def test_equals_a_flood_fill(seed: int, height: int, width: int, threshold: float) -> None:
    attention = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    labels, regions = find_lesions(attention, threshold)
    expected = plain_regions(attention >= threshold)
    assert [region.area_pixels for region in regions] == sorted((len(pixels) for pixels in expected), reverse=True)
    for region in regions:
        pixels = {(int(row), int(column)) for row, column in zip(*np.nonzero(labels == region.number), strict=True)}
        assert pixels in expected
        rows, columns = zip(*pixels, strict=True)
        assert region.box == (min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1)
        assert region.peak_attention == max(float(attention[place]) for place in pixels)
        assert region.area_mm2 is None


def test_specks_are_dropped_from_regions_and_labels() -> None:
    attention = np.zeros((100, 100), dtype=np.float32)
    smallest = round(SMALLEST_SHARE * attention.size)
    attention[10, : smallest - 1] = 1.0
    attention[50, :smallest] = 1.0
    labels, regions = find_lesions(attention, 0.5)
    assert [region.box for region in regions] == [(0, 50, smallest, 1)]
    assert labels.sum() == smallest


def test_a_box_holds_its_own_region_alone() -> None:
    attention = np.zeros((20, 20), dtype=np.float32)
    attention[0:15, 0] = attention[14, 0:15] = 0.6  # an L, whose box holds the next region
    attention[3:6, 8:11] = 0.9
    _, (outer, inner) = find_lesions(attention, 0.5)
    assert outer.peak_attention == pytest.approx(0.6)
    assert outer.area_pixels == 29
    assert inner.area_pixels == 9


def test_an_empty_map_has_no_region_and_a_full_one_has_one() -> None:
    assert find_lesions(np.zeros((5, 5), dtype=np.float32), 0.5)[1] == ()
    labels, regions = find_lesions(np.ones((5, 7), dtype=np.float32), 0.5)
    assert [region.box for region in regions] == [(0, 0, 7, 5)]
    assert labels.all()
