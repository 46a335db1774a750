"""What is known of the pictures of a batch: the classes that their labels allow, and their lesions' outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from monai_pneumonia.transforms.outline import OutlineKind


class LesionTarget(NamedTuple):
    """What the training losses are told of a batch.

    Attributes:
        candidates: [B, C] in {0, 1}, the classes that each label allows.
        images: the network's input, [B, 1, S, S] in [0, 1].
        outline: the share of each pixel that is lesion, [B, 1, S, S] in [0, 1]; zeros where the kind is empty or unknown.
        kind: an :class:`OutlineKind` each, [B] int64.
    """

    candidates: Tensor
    images: Tensor
    outline: Tensor
    kind: Tensor

    @property
    def has_outline(self) -> Tensor:
        """Whether an outline is known and not empty, m [B]."""
        drawn = (self.kind == OutlineKind.PIXEL) | (self.kind == OutlineKind.BOX)
        return drawn & (self.outline.amax(dim=(1, 2, 3)) > 0)

    def outline_on(self, grid: Sequence[int]) -> Tensor:
        """The outlines averaged over the cells of a grid h x w: [B, 1, h, w] in [0, 1]; zero where none is known."""
        height, width = grid
        outline = functional.adaptive_avg_pool2d(self.outline.float(), (height, width))
        return outline * self.has_outline.float().view(-1, 1, 1, 1)

    def says_pneumonia(self, negative_index: int) -> tuple[Tensor, Tensor]:
        """Whether each label says pneumonia, and whether it says that there is none; both [B], neither where it leaves it open.

        Args:
            negative_index: the channel of the class that means no pneumonia.
        """
        negative_allowed = self.candidates[:, negative_index] > 0.5
        return ~negative_allowed, negative_allowed & (self.candidates.sum(dim=1) < 1.5)
