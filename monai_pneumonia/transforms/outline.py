"""What a person drew, on the network's grid: boxes and masks become one outline that went the same way as the picture."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Transform
from monai.utils.enums import MetaKeys

from monai_pneumonia.errors import BadInputError, UsageError
from monai_pneumonia.radiograph import read_radiograph
from monai_pneumonia.transforms.geometry import fit_transforms, pad_transforms

_LESION_LEVEL = 0.5


class OutlineKind(IntEnum):
    """A datalist's mask_kind as a number, for batches."""

    UNKNOWN = 0
    EMPTY = 1
    BOX = 2
    PIXEL = 3


class LesionOutlined(Transform):
    """Adds an item's lesion outline on the network's grid; comes after the steps of the network's input.

    Reads ``mask_kind``, ``mask`` (a path or None) and ``boxes`` (x, y, width, height in the picture's pixels), and adds

    - the outline, MetaTensor [1, S, S], float32 in [0, 1]: the share of each cell that lies in the lesion; zeros where the kind is
      ``empty`` or ``unknown``,
    - ``has_outline``, float32 scalar: 1 where an outline is known and not empty,
    - ``outline_kind``, an :class:`OutlineKind` as int64 scalar.

    Args:
        input_size: S, the side of the network's input in pixels.
        resize_mode: ``stretch`` or ``pad``, as for the picture.
        key: where the outline goes.
        image_key: the picture's network input, a MetaTensor [1, S, S] that still knows its own size.

    Raises:
        UsageError: an input size below one, or an unknown resize mode.
    """

    def __init__(self, input_size: int, resize_mode: str = "stretch", key: str = "outline", image_key: str = "image") -> None:
        self.key = key
        self.image_key = image_key
        self.geometry = Compose([fit_transforms(key, input_size, resize_mode), *pad_transforms(key, input_size, resize_mode)])

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Adds the outline, ``has_outline`` and ``outline_kind``.

        Raises:
            BadInputError: the mask is missing, unreadable or of another size than the picture, or a box is none; names the item.
            UsageError: the picture's own size is not known.
        """
        size = _picture_size(data, self.image_key)
        kind = _kind(data)
        drawn = _drawn(data, kind, size)
        placed = self.geometry({self.key: MetaTensor(torch.from_numpy(drawn[None]))})[self.key]
        return {
            **data,
            self.key: placed.clamp(0.0, 1.0),
            "has_outline": torch.tensor(float(drawn.any())),
            "outline_kind": torch.tensor(int(kind)),
        }


def drawn_outline(data: Mapping[Hashable, Any], size: tuple[int, int]) -> np.ndarray:
    """What a person drew, on the picture's own grid.

    Args:
        data: an item with ``mask_kind``, ``mask`` (a path that can be opened, or None), ``boxes`` and, for messages, ``id``.
        size: (H, W) of the picture.

    Returns:
        float32 [H, W]: zeros and ones from a mask, shares of covered pixels from boxes, zeros where the kind is ``empty`` or ``unknown``.

    Raises:
        BadInputError: the mask is missing, unreadable or of another size than the picture, or a box is none; names the item.
    """
    return _drawn(data, _kind(data), size)


def box_coverage(boxes: Sequence[Sequence[float]], size: tuple[int, int]) -> np.ndarray:
    """The share of each pixel that lies in a box; what lies outside of the picture falls away.

    MONAI's BoxToMask does not fit: it cuts boxes to whole pixels, which moves the edges of those that come from another resolution, and
    makes a picture for each box.

    Args:
        boxes: (x, y, width, height) in pixels, fractions allowed.
        size: (H, W) of the picture.

    Returns:
        float32 [H, W] in [0, 1]; where boxes meet, the larger share.
    """
    coverage = np.zeros(size, dtype=np.float32)
    for left, top, width, height in boxes:
        down, across = _overlap(top, height, size[0]), _overlap(left, width, size[1])
        np.maximum(coverage, np.outer(down, across), out=coverage)
    return coverage


def _overlap(start: float, length: float, pixels: int) -> np.ndarray:
    edges = np.arange(pixels, dtype=np.float64)
    share = np.minimum(start + length, edges + 1.0) - np.maximum(start, edges)
    return share.clip(0.0, 1.0).astype(np.float32)


def _picture_size(data: Mapping[Hashable, Any], image_key: str) -> tuple[int, int]:
    meta = getattr(data.get(image_key), "meta", {})
    if MetaKeys.SPATIAL_SHAPE not in meta:
        raise UsageError(
            f"the size of '{image_key}' before resizing is not known: put the outline after the network input's steps, with metadata"
        )
    height, width = (int(side) for side in meta[MetaKeys.SPATIAL_SHAPE])
    return height, width


def _name(data: Mapping[Hashable, Any]) -> str:
    return f"item '{data.get('id', data.get('mask'))}'"


def _kind(data: Mapping[Hashable, Any]) -> OutlineKind:
    name = str(data.get("mask_kind") or "unknown")
    if name.upper() not in OutlineKind.__members__:
        raise BadInputError(f"{_name(data)}: mask_kind is '{name}': give one of {', '.join(kind.name.lower() for kind in OutlineKind)}")
    return OutlineKind[name.upper()]


def _drawn(data: Mapping[Hashable, Any], kind: OutlineKind, size: tuple[int, int]) -> np.ndarray:
    """The outline on the picture's own grid, float32 [H, W]."""
    boxes = data.get("boxes") or ()
    if kind in (OutlineKind.UNKNOWN, OutlineKind.EMPTY):
        return np.zeros(size, dtype=np.float32)
    if kind is OutlineKind.BOX and len(boxes):
        return box_coverage(_checked_boxes(data, boxes), size)
    return _mask(data, kind, size)


def _checked_boxes(data: Mapping[Hashable, Any], boxes: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
    for box in boxes:
        if len(box) != 4 or not np.isfinite(box).all() or min(box[2:]) <= 0:
            raise BadInputError(f"{_name(data)}: {list(box)} is no box: give x, y, width and height in pixels, the last two above zero")
    return boxes


def _mask(data: Mapping[Hashable, Any], kind: OutlineKind, size: tuple[int, int]) -> np.ndarray:
    path = data.get("mask")
    if path is None:
        raise BadInputError(f"{_name(data)}: mask_kind is {kind.name.lower()}, but there is neither mask nor box: give one, or say unknown")
    try:
        levels = read_radiograph(path).pixels
    except BadInputError as error:
        raise BadInputError(f"{_name(data)}: its mask cannot be used: {error}") from error
    if levels.shape != size:
        raise BadInputError(
            f"{_name(data)}: the mask {path} is {levels.shape[0]} x {levels.shape[1]} pixels, the picture {size[0]} x {size[1]}: "
            "draw it on the picture's own grid"
        )
    drawn: np.ndarray = levels >= _LESION_LEVEL
    if levels.any() and not drawn.any():
        raise BadInputError(
            f"{_name(data)}: the brightest pixel of the mask {path} is {levels.max():.3f} of white: write outlines as 0 and 255"
        )
    return drawn.astype(np.float32)
