"""Numbers of any type become grey levels that agree between types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from monai_pneumonia.radiograph.grey_levels import CONSTANT_PICTURE, constant_warning, luma, unit_range

_SHAPES = st_numpy.array_shapes(min_dims=2, max_dims=2, max_side=12)
_TYPES = st.sampled_from(["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])


@given(_TYPES.flatmap(lambda name: st_numpy.arrays(name, _SHAPES, elements={"allow_nan": False} if name[0] == "f" else None)))
def test_any_finite_array_lands_in_the_unit_range_in_its_order(values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        with pytest.raises(ValueError, match="not finite"):
            unit_range(values)
        return
    levels, _ = unit_range(values)
    assert levels.dtype == np.float32
    assert levels.shape == values.shape
    assert levels.min() >= 0
    assert levels.max() <= 1
    order = np.argsort(values, axis=None, kind="stable")
    assert (np.diff(levels.ravel()[order]) >= 0).all()


def test_8_and_16_bit_copies_agree() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    narrow, narrow_warnings = unit_range(grey)
    wide, wide_warnings = unit_range(grey.astype(np.uint16) * 257)
    np.testing.assert_array_equal(narrow, wide)
    # 51 / 255 = 0.2
    assert narrow[3, 3] == np.float32(0.2)
    assert narrow_warnings == wide_warnings == ()


@pytest.mark.parametrize("name", ["i2", "i4", "i8", "u4"])
def test_8_bit_values_in_wide_integers_are_taken_as_such(name: str) -> None:
    levels, warnings = unit_range(np.array([[0, 51, 255]], dtype=name))
    np.testing.assert_allclose(levels, [[0, 0.2, 1]], rtol=1e-6)
    assert "8-bit" in warnings[0]


def test_floats_within_the_unit_range_are_kept_and_others_stretched() -> None:
    kept, none = unit_range(np.array([[0.25, 0.5]]))
    np.testing.assert_array_equal(kept, np.array([[0.25, 0.5]], dtype=np.float32))
    assert none == ()
    # (0 + 10) / (30 + 10) = 0.25
    stretched, warnings = unit_range(np.array([[-10.0, 0.0, 30.0]]))
    np.testing.assert_allclose(stretched, [[0, 0.25, 1]])
    assert "stretched" in warnings[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        unit_range(np.array([[0.0, bad]]))


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="complex"):
        unit_range(np.zeros((2, 2), dtype=np.complex64))


def test_luma_of_pure_colours() -> None:
    # ITU-R 601: 0.299, 0.587, 0.114 of 255, rounded.
    levels, _ = luma(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], dtype=np.uint8))
    np.testing.assert_array_equal(np.rint(levels * 255), [[76, 150, 29, 9]])


@pytest.mark.parametrize("colours", [np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3), np.float32), np.zeros((2, 3), np.uint8)])
def test_luma_refuses_what_is_no_colour_picture(colours: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not understood"):
        luma(colours)


def test_constant_pictures_are_told() -> None:
    assert constant_warning(np.full((3, 3), 0.5)) == (CONSTANT_PICTURE,)
    assert constant_warning(np.eye(3)) == ()
