"""Two random views of a radiograph for contrastive pre-training."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import (
    Compose,
    MapTransform,
    RandAdjustContrast,
    RandCoarseDropout,
    RandGaussianNoise,
    RandGaussianSmooth,
    Randomizable,
    RandScaleIntensityFixedMean,
    RandShiftIntensity,
    SelectItemsd,
)
from monai.utils import convert_to_tensor
from torch import Tensor
from torch.nn import functional

VIEW_KEYS = ("view_1", "view_2")


class RandomCrop(Randomizable):
    """A random window of a picture, turned and scaled back to the picture's size, in one interpolation.

    What random resized crop, rotation and flip of MONAI do in three interpolations. The window lies within the picture, but for
    the corners that its turn carries outside: they become black.

    Args:
        area: range of the window's share of the picture, in (0, 1].
        stretch: largest factor between the window's two scales, 1 or more: public pictures lost their true aspect.
        degrees: largest turn to either side.
        horizontal_flip: probability of a mirrored picture.
    """

    def __init__(
        self, area: tuple[float, float] = (0.5, 1.0), stretch: float = 1.2, degrees: float = 10.0, horizontal_flip: float = 0.0
    ) -> None:
        self.area = area
        self.stretch = stretch
        self.degrees = degrees
        self.horizontal_flip = horizontal_flip
        self.matrix: np.ndarray = np.eye(2, 3, dtype=np.float32)

    def randomize(self, data: Any = None) -> None:
        """Draws the window: its matrix [2, 3] maps output to input coordinates, both in [-1, 1]."""
        area, aspect, turn, x, y, mirror = self.R.uniform(size=6)
        side = math.sqrt(self.area[0] + area * (self.area[1] - self.area[0]))
        ratio = math.exp((2 * aspect - 1) * math.log(self.stretch) / 2)
        width, height = min(1.0, side * ratio), min(1.0, side / ratio)
        angle = math.radians(self.degrees) * (2 * turn - 1)
        cosine, sine = math.cos(angle), math.sin(angle)
        flip = -1.0 if mirror < self.horizontal_flip else 1.0
        self.matrix = np.array(
            [
                [flip * width * cosine, -height * sine, (2 * x - 1) * (1 - width)],
                [flip * width * sine, height * cosine, (2 * y - 1) * (1 - height)],
            ],
            dtype=np.float32,
        )

    def __call__(self, picture: Tensor) -> Tensor:
        """Draws a window of a picture [C, S, S] and returns it as [C, S, S]."""
        self.randomize()
        grid = functional.affine_grid(torch.from_numpy(self.matrix)[None], [1, *picture.shape], align_corners=False)
        window = functional.grid_sample(picture[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return window[0]


class ContrastiveViewsd(MapTransform, Randomizable):
    """Makes independent random views of one picture.

    Its random state makes those of all steps, so a view is a function of the state alone: with :class:`RadiographDataset` of
    (seed, epoch, item).

    Args:
        keys: the picture, one key.
        view: random steps from [1, S, S] to [1, S, S].
        view_keys: where the views go.
    """

    def __init__(self, keys: KeysCollection, view: Compose, view_keys: Sequence[str] = VIEW_KEYS) -> None:
        super().__init__(keys)
        self.view = view
        self.view_keys = tuple(view_keys)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> ContrastiveViewsd:
        """Sets the random state of all steps."""
        super().set_random_state(seed, state)
        self.view.set_random_state(state=self.R) if seed is None else self.view.set_random_state(seed=seed)
        return self

    def randomize(self, data: Any = None) -> None:
        """Nothing of its own: the steps draw."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Adds the views, [1, S, S] in [0, 1], to an item with a picture [1, S, S] in [0, 1]."""
        item = dict(data)
        for key in self.key_iterator(item):
            picture = convert_to_tensor(item[key], track_meta=False, dtype=torch.float32)
            for view_key in self.view_keys:
                item[view_key] = convert_to_tensor(self.view(picture), track_meta=False).clamp(0.0, 1.0)
        return item


def contrastive_augmentation(input_size: int, horizontal_flip: float = 0.0, strength: float = 1.0) -> Compose:
    """Two views of a radiograph, ``view_1`` and ``view_2``, each as another hospital or another breath might have shown it.

    Window, turn and aspect; exposure (gamma, brightness) and contrast; blur, noise; a block erased. Each view is drawn for
    itself. No vertical flip, and no horizontal one unless asked for: the heart is on the left. All else of the item is dropped.

    Args:
        input_size: S, side of the pictures in pixels.
        horizontal_flip: probability of a mirrored view.
        strength: scales every range; 0 leaves only the flips. Above 2 it changes nothing of the window any more.

    Returns:
        A Compose over an item with ``image`` [1, S, S] in [0, 1].
    """
    often, seldom = 0.8 * min(strength, 1.0), 0.3 * min(strength, 1.0)
    smallest = max(0.1, 1.0 - 0.5 * min(strength, 2.0))
    hole = max(1, round(0.25 * input_size))
    view = Compose(
        [
            RandomCrop((smallest, 1.0), stretch=1.0 + 0.2 * strength, degrees=10.0 * strength, horizontal_flip=horizontal_flip),
            RandAdjustContrast(prob=often, gamma=(math.exp(-0.4 * strength), math.exp(0.4 * strength))),
            RandScaleIntensityFixedMean(prob=often, factors=min(0.4 * strength, 0.9)),
            RandShiftIntensity(prob=often, offsets=0.15 * strength),
            RandGaussianSmooth(prob=seldom, sigma_x=(0.25, 1.2), sigma_y=(0.25, 1.2)),
            RandGaussianNoise(prob=seldom, std=0.05 * strength),
            RandCoarseDropout(prob=seldom, holes=1, spatial_size=max(1, hole // 2), max_spatial_size=hole, fill_value=0.0),
        ]
    )
    return Compose([ContrastiveViewsd("image", view), SelectItemsd(list(VIEW_KEYS))])
