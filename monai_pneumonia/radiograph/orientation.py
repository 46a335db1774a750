"""From an array with stated axis directions to a picture as displayed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Below this share of its length along one axis of the patient (about eight degrees), a direction is no longer called aligned with it.
_ALIGNED = 0.99


def displayed(plane: np.ndarray, first: Sequence[float], second: Sequence[float]) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """Turns a plane into a picture as radiographs are shown: the patient's left on the right, feet down.

    Where the plane holds the patient's left-right axis, that one becomes horizontal; else (a lateral view) front to back does, the front
    on the left. The vertical axis leads to the feet or, in the plane that two-dimensional formats write by default, to the back.

    Args:
        plane: [N, M].
        first: direction of the first axis in the patient (towards left, posterior, superior: LPS), any length above zero.
        second: direction of the second axis.

    Returns:
        the picture [H, W], whether the axes were exchanged (W = N), and warnings.

    Raises:
        ValueError: both axes run along the same axis of the patient.
    """
    (first_axis, first_sign, first_aligned), (second_axis, second_sign, second_aligned) = _dominant(first), _dominant(second)
    if first_axis == second_axis:
        raise ValueError("both axes of the picture run along the same axis of the patient")
    warnings = () if first_aligned and second_aligned else ("the picture's axes lie oblique to the patient's: the nearest are taken",)
    exchanged = first_axis < second_axis
    picture = plane.T if exchanged else plane
    across_sign = first_sign if exchanged else second_sign
    down_axis, down_sign = (second_axis, second_sign) if exchanged else (first_axis, first_sign)
    if across_sign < 0:
        picture = picture[:, ::-1]
    if (down_sign > 0) == (down_axis == 2):
        picture = picture[::-1]
    return picture, exchanged, warnings


def _dominant(direction: Sequence[float]) -> tuple[int, int, bool]:
    """The patient's axis (0 left, 1 posterior, 2 superior) nearest to a direction, the sign along it, and whether it is aligned."""
    vector = np.asarray(direction, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0.0:
        raise ValueError("a direction of the picture's axes has no length")
    axis = int(np.argmax(np.abs(vector)))
    return axis, 1 if vector[axis] > 0 else -1, bool(abs(vector[axis]) >= _ALIGNED * length)
