"""The geometry between a picture's own grid and the network's square one, the same for pictures and outlines."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal, get_args

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Resize, SpatialPadd
from monai.transforms.spatial.functional import resize

from monai_pneumonia.errors import UsageError

ResizeMode = Literal["stretch", "pad"]
RESIZE_MODES: tuple[str, ...] = get_args(ResizeMode)


class FitToSquare(Resize):
    """Resizes a picture to a square, or to the largest rectangle of its aspect that fits one.

    MONAI's Resize with two rules of its own. Shrinking averages areas and enlarging interpolates linearly, whatever the picture's
    size (area mode enlarges in blocks). No side becomes zero: Resize(size_mode="longest") fails on pictures far longer than wide.

    Args:
        input_size: the square's side in pixels.
        keep_aspect: False stretches to the whole square, True makes the longer side fit.
    """

    def __init__(self, input_size: int, keep_aspect: bool = False) -> None:
        super().__init__(spatial_size=(input_size, input_size))
        self.input_size = input_size
        self.keep_aspect = keep_aspect

    def __call__(self, img: torch.Tensor, lazy: bool | None = None, **_: Any) -> torch.Tensor:
        """Resizes [C, H, W] to [C, S, S], or to [C, h, w] with max(h, w) = S where the aspect is kept."""
        height, width = (int(side) for side in (img.peek_pending_shape() if isinstance(img, MetaTensor) else img.shape[1:]))
        size = (self.input_size, self.input_size)
        if self.keep_aspect:
            scale = self.input_size / max(height, width)
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
        enlarges = size[0] >= height and size[1] >= width
        mode, align_corners = ("bilinear", False) if enlarges else ("area", None)
        lazily = self.lazy if lazy is None else lazy
        resized: torch.Tensor = resize(img, size, mode, align_corners, torch.float32, 2, False, None, lazily, self.get_transform_info())
        return resized


class FitToSquared(MapTransform, InvertibleTransform):
    """Dictionary form of :class:`FitToSquare`.

    Args:
        keys: which values of the item to resize, each [C, H, W].
        input_size: the square's side in pixels.
        keep_aspect: False stretches to the whole square, True makes the longer side fit.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(self, keys: KeysCollection, input_size: int, keep_aspect: bool = False, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.fit = FitToSquare(input_size, keep_aspect)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resizes the values of the keys."""
        resized = dict(data)
        for key in self.key_iterator(resized):
            resized[key] = self.fit(resized[key])
        return resized

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Brings the values of the keys back to the size that they had."""
        restored = dict(data)
        for key in self.key_iterator(restored):
            restored[key] = self.fit.inverse(restored[key])
        return restored


def check_geometry(input_size: int, resize_mode: str) -> None:
    """Checks the two keys that geometry hangs on.

    Raises:
        UsageError: an input size below one, or an unknown resize mode.
    """
    if resize_mode not in RESIZE_MODES:
        raise UsageError(f"resize_mode is '{resize_mode}': give one of {', '.join(RESIZE_MODES)}")
    if isinstance(input_size, bool) or not isinstance(input_size, int) or input_size < 1:
        raise UsageError(f"input_size is {input_size!r}: give the side of the network's input in pixels, a whole number above zero")


def fit_transforms(keys: KeysCollection, input_size: int, resize_mode: str, allow_missing_keys: bool = False) -> MapTransform:
    """The resizing step of a resize mode; in ``pad`` mode :func:`pad_transforms` completes it.

    Raises:
        UsageError: an input size below one, or an unknown resize mode.
    """
    check_geometry(input_size, resize_mode)
    return FitToSquared(keys, input_size, keep_aspect=resize_mode == "pad", allow_missing_keys=allow_missing_keys)


def pad_transforms(keys: KeysCollection, input_size: int, resize_mode: str, allow_missing_keys: bool = False) -> list[MapTransform]:
    """What follows resizing: black (zero) bars on both sides in ``pad`` mode, nothing in ``stretch`` mode."""
    if resize_mode != "pad":
        return []
    return [
        SpatialPadd(keys, (input_size, input_size), method="symmetric", mode="constant", value=0.0, allow_missing_keys=allow_missing_keys)
    ]
