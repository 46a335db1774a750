"""The one way from a file to the network's input, and back from the network's grid to the picture's own."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform, convert_applied_interp_mode, reset_ops_id
from monai.transforms.utils_pytorch_numpy_unification import percentile

from monai_pneumonia.transforms.geometry import fit_transforms, pad_transforms
from monai_pneumonia.transforms.reader import LoadRadiographd, plain_errors

LOWER_PERCENTILE = 0.5
UPPER_PERCENTILE = 99.5
# Averaging a constant picture in float32 leaves differences of about 1e-7; one level of 16 bits is 1.5e-5.
SMALLEST_CONTRAST = 1e-6


class ScaleRobustlyd(MapTransform):
    """Stretches grey levels so that their 0.5th and 99.5th percentiles become 0 and 1, and clips the rest.

    Exposure, odd windows and unused bits drop out. A picture whose two percentiles meet has nothing to stretch and becomes zeros, where
    MONAI's ScaleIntensityRangePercentiles warns and leaves values outside [0, 1].

    Args:
        keys: which values of the item to scale, each [C, H, W].
        allow_missing_keys: whether an item may lack a key.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Scales the values of the keys to [0, 1]."""
        scaled = dict(data)
        for key in self.key_iterator(scaled):
            scaled[key] = scale_robustly(scaled[key])
        return scaled


def scale_robustly(picture: torch.Tensor) -> torch.Tensor:
    """The grey levels of a picture, any shape, clipped to their 0.5th and 99.5th percentiles and stretched to [0, 1]."""
    low, high = percentile(picture.as_tensor() if isinstance(picture, MetaTensor) else picture, [LOWER_PERCENTILE, UPPER_PERCENTILE])
    if high - low <= SMALLEST_CONTRAST:
        return torch.zeros_like(picture)
    scaled: torch.Tensor = ((picture - low) / (high - low)).clamp(0.0, 1.0)
    return scaled


class NetworkInputTransforms(Compose):
    """A Compose whose bad-input errors arrive as they were raised, instead of as "applying transform ..."."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Applies the transforms.

        Raises:
            BadInputError: a file or an array that is no single radiograph.
        """
        with plain_errors():
            return super().__call__(*args, **kwargs)


def network_input_transforms(
    input_size: int, resize_mode: str = "stretch", keys: KeysCollection = ("image",), allow_missing_keys: bool = False
) -> Compose:
    """The steps from a file (or an array [H, W]) to the network's input; training, inference and both apps use these and no others.

    Load upright; resize by area (``stretch``: to the square; ``pad``: keeping the aspect); scale grey levels robustly; pad with black.
    Grey levels are scaled after resizing: the percentiles of S x S values cost next to nothing whatever the picture's size, and
    burnt-in letters of a few pixels have been averaged away. They are scaled before padding, so that the bars have no part in them.

    Args:
        input_size: S, the side of the input in pixels.
        resize_mode: ``stretch`` or ``pad``; belongs to the weights.
        keys: which values of an item are paths (or arrays) of pictures.
        allow_missing_keys: whether an item may lack a key.

    Returns:
        A Compose from an item to the item with MetaTensors [1, S, S], float32 in [0, 1], under the keys. It raises our own
        BadInputError where a file cannot be used.

    Raises:
        UsageError: an input size below one, or an unknown resize mode.
    """
    return NetworkInputTransforms(
        [
            LoadRadiographd(keys, allow_missing_keys),
            fit_transforms(keys, input_size, resize_mode, allow_missing_keys),
            ScaleRobustlyd(keys, allow_missing_keys),
            *pad_transforms(keys, input_size, resize_mode, allow_missing_keys),
        ]
    )


def network_input(picture: str | os.PathLike[str] | np.ndarray | torch.Tensor, input_size: int, resize_mode: str = "stretch") -> MetaTensor:
    """One picture as the network's input; for many, build :func:`network_input_transforms` once.

    Args:
        picture: a file, or an upright array [H, W] with bright bones.
        input_size: S, the side of the input in pixels.
        resize_mode: ``stretch`` or ``pad``.

    Returns:
        MetaTensor [1, S, S], float32 in [0, 1]; remembers the way back for :func:`to_original_grid`.

    Raises:
        UsageError: an input size below one, or an unknown resize mode.
        BadInputError: a file or an array that is no single radiograph.
    """
    return network_input_transforms(input_size, resize_mode)({"image": picture})["image"]


def to_original_grid(values: torch.Tensor, reference: MetaTensor) -> torch.Tensor:
    """Brings a map on the network's grid back to the picture's own pixels, by undoing what the reference remembers.

    Args:
        values: [1, S, S] or [S, S], e.g. attention in [0, 1].
        reference: the network input [1, S, S] that the map belongs to, as :func:`network_input` gave it (also collated and decollated).

    Returns:
        float32 [H, W], the picture's own height and width, interpolated linearly and clipped to [0, 1]; bars of ``pad`` mode are cut off.

    Raises:
        ValueError: the map is not on the reference's grid, or the reference remembers other steps than those of this module.
    """
    grid = values if values.ndim == 3 else values[None]
    if grid.shape != reference.shape:
        raise ValueError(
            f"the map is {list(values.shape)}, the network's input {list(reference.shape)}: bring the map to the input's grid first"
        )
    steps = [operation["class"] for operation in reference.applied_operations]
    if steps not in (["FitToSquare"], ["FitToSquare", "SpatialPad"]):
        raise ValueError(
            f"the reference remembers the steps {steps}: give the network input as it was before augmentation, with its metadata"
        )
    resize_mode = "pad" if "SpatialPad" in steps else "stretch"
    input_size = reference.shape[-1]
    geometry = Compose([fit_transforms("map", input_size, resize_mode), *pad_transforms("map", input_size, resize_mode)])
    # The steps may have run in another process, where the transforms had other identities.
    operations = reset_ops_id(convert_applied_interp_mode(deepcopy(reference.applied_operations), mode="bilinear", align_corners=False))
    placed = MetaTensor(grid.detach().as_subclass(torch.Tensor).float(), applied_operations=operations)
    restored: torch.Tensor = geometry.inverse({"map": placed})["map"].as_tensor()
    return restored[0].clamp(0.0, 1.0)
