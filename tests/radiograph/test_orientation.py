"""Axis directions to a picture as displayed."""

from __future__ import annotations

import numpy as np
import pytest
from radiograph_files import marker

from monai_pneumonia.radiograph.orientation import displayed

LEFT, RIGHT = (1, 0, 0), (-1, 0, 0)
BACK, FRONT = (0, 1, 0), (0, -1, 0)
HEAD, FEET = (0, 0, 1), (0, 0, -1)


@pytest.mark.parametrize(
    ("stored", "first", "second"),
    [
        (marker().T, LEFT, FEET),
        (marker().T[:, ::-1], LEFT, HEAD),
        (marker().T[::-1], RIGHT, FEET),
        (marker().T[::-1, ::-1], RIGHT, HEAD),
        (marker(), FEET, LEFT),
        (marker()[::-1], HEAD, LEFT),
        (marker()[:, ::-1], FEET, RIGHT),
        # In the axial plane, where two-dimensional formats put everything, down is towards the back.
        (marker().T, LEFT, BACK),
        (marker().T[:, ::-1], LEFT, FRONT),
        (marker()[:, ::-1], BACK, RIGHT),
        # Lateral views: front on the left.
        (marker().T, BACK, FEET),
        (marker().T[::-1], FRONT, FEET),
        (marker()[::-1], HEAD, BACK),
    ],
)
def test_all_axis_aligned_directions_come_upright(stored: np.ndarray, first: tuple[int, ...], second: tuple[int, ...]) -> None:
    picture, exchanged, warnings = displayed(stored, first, second)
    np.testing.assert_array_equal(picture, marker())
    assert exchanged == (stored.shape != marker().shape)
    assert warnings == ()


def test_lengths_do_not_matter_and_oblique_axes_are_told() -> None:
    picture, _, warnings = displayed(marker().T, (0.2, 0.0, 0.0), (0.0, 0.05, -0.14))
    np.testing.assert_array_equal(picture, marker())
    assert "oblique" in warnings[0]
    assert displayed(marker().T, (0.2, 0.0, 0.0), (0.0, 0.01, -0.14))[2] == ()


@pytest.mark.parametrize(("first", "second"), [(LEFT, LEFT), (LEFT, RIGHT), (LEFT, (0, 0, 0)), ((np.nan, 0, 0), FEET)])
def test_directions_that_make_no_plane_raise(first: tuple[float, ...], second: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"axis|axes"):
        displayed(marker(), first, second)
