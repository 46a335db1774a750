"""How well a map points at a lesion that a person outlined, and what it marks in a picture that was read and found empty.

An outline is drawn (``pixel``), or it is the union of boxes (``box``), which hold healthy lung, too: values of the two never mix.
A map without any attention counts as one that is everywhere alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from monai_pneumonia.errors import BadInputError, UsageError
from monai_pneumonia.metrics.registry import localization_names
from monai_pneumonia.metrics.weighted import Flags, Floats, weighted_mean

DEFAULT_THRESHOLD = 0.5

RATIO_FLOOR = 1e-3
"""Added to both means of the ratio: it stays between 1/1001 and 1001, and is 1 for a map without any attention."""


def pointing_game(attention: ArrayLike, outline: ArrayLike, tolerance: float = 0.0) -> float:
    """Whether the greatest value of a map lies in the outline (Zhang et al. 2016, arXiv 1608.00507).

    Where several pixels share the greatest value, the share of them that lies inside: what a guess among them would hit.

    Args:
        attention: the map [H, W], in [0, 1].
        outline: [H, W], zeros and ones.
        tolerance: how far outside, in pixels, still counts as inside.

    Raises:
        BadInputError: shapes that differ, values outside the range, or an outline that holds no pixel.
        UsageError: a negative tolerance.
    """
    values, inside = _checked(attention, outline)
    return _pointing_game(values, inside, tolerance)


def dice(attention: ArrayLike, outline: ArrayLike, threshold: float = DEFAULT_THRESHOLD) -> float:
    """2 |A and M| / (|A| + |M|) of the outline M and the pixels A where a map reaches the threshold.

    Args:
        attention: the map [H, W], in [0, 1].
        outline: [H, W], zeros and ones.
        threshold: least value that counts as marked.

    Raises:
        BadInputError: shapes that differ, values outside the range, or an outline that holds no pixel.
    """
    values, inside = _checked(attention, outline)
    return _overlap(values >= threshold, inside)[0]


def iou(attention: ArrayLike, outline: ArrayLike, threshold: float = DEFAULT_THRESHOLD) -> float:
    """|A and M| / |A or M| of the outline M and the pixels A where a map reaches the threshold.

    Args:
        attention: the map [H, W], in [0, 1].
        outline: [H, W], zeros and ones.
        threshold: least value that counts as marked.

    Raises:
        BadInputError: shapes that differ, values outside the range, or an outline that holds no pixel.
    """
    values, inside = _checked(attention, outline)
    return _overlap(values >= threshold, inside)[1]


def inside_outside_ratio(attention: ArrayLike, outline: ArrayLike) -> float:
    """Mean attention inside the outline over mean attention outside, :data:`RATIO_FLOOR` added to both.

    A map that is everywhere alike has 1, one without any attention, too. So has an outline that leaves nothing outside.

    Args:
        attention: the map [H, W], in [0, 1].
        outline: [H, W], zeros and ones.

    Raises:
        BadInputError: shapes that differ, values outside the range, or an outline that holds no pixel.
    """
    values, inside = _checked(attention, outline)
    return _inside_outside_ratio(values, inside)


def attention_inside(attention: ArrayLike, outline: ArrayLike) -> float:
    """The share of a map's attention that lies inside the outline, in [0, 1].

    A map without any attention has the outline's share of the picture, as one has that is everywhere alike.

    Args:
        attention: the map [H, W], in [0, 1].
        outline: [H, W], zeros and ones.

    Raises:
        BadInputError: shapes that differ, values outside the range, or an outline that holds no pixel.
    """
    values, inside = _checked(attention, outline)
    return _attention_inside(values, inside)


def false_positive_area(attention: ArrayLike, threshold: float = DEFAULT_THRESHOLD) -> float:
    """The share of a picture, read and found empty, in which a map reaches the threshold.

    Args:
        attention: the map [H, W], in [0, 1].
        threshold: least value that counts as marked.

    Raises:
        BadInputError: the map is none: no two dimensions, or values outside [0, 1].
    """
    return float(np.mean(_checked_map(attention) >= threshold))


def localization_values(
    kind: str, attention: ArrayLike, outline: ArrayLike | None, threshold: float = DEFAULT_THRESHOLD, tolerance: float = 0.0
) -> dict[str, float]:
    """Every localisation metric of one picture.

    Args:
        kind: ``pixel``, ``box`` or ``empty``.
        attention: the map [H, W], in [0, 1].
        outline: [H, W], zeros and ones, for ``box`` the union of the boxes; of no use for ``empty``.
        threshold: least value that counts as marked.
        tolerance: of the pointing game, in pixels.

    Returns:
        A value for each name of :func:`monai_pneumonia.metrics.localization_names` of the kind.

    Raises:
        BadInputError: shapes that differ, values outside the range, or an outline that holds no pixel.
        UsageError: no such kind, an outline that is missing, or a negative tolerance.
    """
    names = localization_names(kind)
    if kind == "empty":
        return dict(zip(names, [false_positive_area(attention, threshold)], strict=True))
    if outline is None:
        raise UsageError(f"a picture of kind '{kind}' needs its outline")
    values, inside = _checked(attention, outline)
    overlap = _overlap(values >= threshold, inside)
    found = (_pointing_game(values, inside, tolerance), _attention_inside(values, inside), _inside_outside_ratio(values, inside), *overlap)
    return dict(zip(names, found, strict=True))


@dataclass(frozen=True)
class LocalizationSample:
    """Pictures of one kind, each with its values.

    Attributes:
        kind: ``pixel``, ``box`` or ``empty``.
        values: one row a picture [N, M], the columns in the order of :func:`monai_pneumonia.metrics.localization_names`.
    """

    kind: str
    values: Floats

    @classmethod
    def of(cls, kind: str, pictures: Sequence[Mapping[str, float]]) -> LocalizationSample:
        """Gathers what :func:`localization_values` gave for each picture.

        Raises:
            UsageError: no such kind.
        """
        names = localization_names(kind)
        rows = [[picture[name] for name in names] for picture in pictures]
        return cls(kind, np.array(rows, dtype=np.float64).reshape(len(rows), len(names)))

    def __len__(self) -> int:
        return len(self.values)

    def statistics(self, weights: Floats) -> dict[str, Floats]:
        """Every localisation metric of the kind: the mean over pictures, for the ratio the geometric one.

        Args:
            weights: weights of the pictures, one row a resample [R, N].

        Returns:
            One value a resample [R] for each name of the registry; NaN without any picture.
        """
        columns = dict(zip(localization_names(self.kind), self.values.T, strict=True))
        return {
            name: np.exp(weighted_mean(np.log(column), weights)) if name == "inside_outside_ratio" else weighted_mean(column, weights)
            for name, column in columns.items()
        }


def _pointing_game(values: Floats, inside: Flags, tolerance: float) -> float:
    if not tolerance >= 0:
        raise UsageError(f"the tolerance of the pointing game is {tolerance}: give a number of pixels, 0 or more")
    reached = inside if tolerance == 0 else ndimage.distance_transform_edt(~inside) <= tolerance
    return float(np.mean(reached[values == values.max()]))


def _overlap(marked: Flags, inside: Flags) -> tuple[float, float]:
    """Dice and IoU of two areas, the second of which is not empty."""
    both, either = int(np.sum(marked & inside)), int(np.sum(marked | inside))
    return 2 * both / (both + either), both / either


def _inside_outside_ratio(values: Floats, inside: Flags) -> float:
    if inside.all():
        return 1.0
    return float((values[inside].mean() + RATIO_FLOOR) / (values[~inside].mean() + RATIO_FLOOR))


def _attention_inside(values: Floats, inside: Flags) -> float:
    total = float(values.sum())
    # Rounding of the two sums may lead a hair beyond one.
    return min(float(values[inside].sum()) / total, 1.0) if total > 0 else float(inside.mean())


def _checked_map(attention: ArrayLike) -> Floats:
    values = np.asarray(attention, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise BadInputError(f"an attention map must have the shape [H, W], got {list(values.shape)}")
    if not np.all((values >= 0) & (values <= 1)):
        raise BadInputError("an attention map must lie in [0, 1]; some values do not, or are not a number")
    return values


def _checked(attention: ArrayLike, outline: ArrayLike) -> tuple[Floats, Flags]:
    values, drawn = _checked_map(attention), np.asarray(outline)
    if drawn.shape != values.shape:
        raise BadInputError(f"map and outline must have one shape, got {list(values.shape)} and {list(drawn.shape)}")
    inside: Flags = drawn == 1
    if not np.all(inside | (drawn == 0)):
        raise BadInputError("an outline holds zeros and ones; some values are neither")
    if not inside.any():
        raise BadInputError("the outline holds no pixel: a picture that was read and found empty is measured by false_positive_area")
    return values, inside
