"""Augmentation for training, of MONAI's random dictionary transforms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.transforms import (
    Compose,
    Lambdad,
    RandAdjustContrastd,
    RandAffined,
    RandCoarseDropoutd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from torch import Tensor


def training_augmentation(
    input_size: int,
    keys: Sequence[str] = ("image",),
    maps: Sequence[str] = (),
    horizontal_flip: float = 0.0,
    strength: float = 1.0,
) -> Compose:
    """Random views of a radiograph as another hospital might have taken it.

    The two axes are scaled each by its own factor, for public pictures lost their true aspect and would give their
    hospital away. No vertical flip, and no horizontal one unless asked for: the heart is on the left.

    Args:
        input_size: side of the pictures in pixels.
        keys: pictures [1, S, S] in [0, 1].
        maps: outlines that move with the pictures and keep their intensities.
        horizontal_flip: probability of a mirrored picture.
        strength: scales every range; 0 leaves only the flips.
    """
    moved = [*keys, *maps]
    shift = 0.06 * strength * input_size
    hole = max(1, round(0.2 * input_size))
    return Compose(
        [
            RandAffined(
                keys=moved,
                prob=0.9,
                rotate_range=math.radians(10) * strength,
                scale_range=(0.15 * strength, 0.15 * strength),
                translate_range=(shift, shift),
                mode="bilinear",
                padding_mode="zeros",
                cache_grid=False,
            ),
            RandFlipd(keys=moved, prob=horizontal_flip, spatial_axis=1),
            RandAdjustContrastd(keys=keys, prob=0.5 * min(strength, 1.0), gamma=(0.7, 1.4)),
            RandScaleIntensityd(keys=keys, prob=0.5, factors=0.15 * strength),
            RandShiftIntensityd(keys=keys, prob=0.5, offsets=0.08 * strength),
            RandGaussianSmoothd(keys=keys, prob=0.2 * min(strength, 1.0), sigma_x=(0.25, 1.0), sigma_y=(0.25, 1.0)),
            RandGaussianNoised(keys=keys, prob=0.3 * min(strength, 1.0), std=0.04 * strength),
            RandCoarseDropoutd(
                keys=keys, prob=0.2 * min(strength, 1.0), holes=1, spatial_size=hole // 2, max_spatial_size=hole, fill_value=0.0
            ),
            Lambdad(keys=keys, func=_unit_range),
        ]
    )


def _unit_range(picture: Tensor) -> Tensor:
    return torch.clamp(picture, 0.0, 1.0)
