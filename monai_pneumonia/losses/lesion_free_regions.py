"""Where else in the same chest a lesion of this form could have been, but is not."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_SHARE = 0.25
# Rows and columns, as shares of the picture: up, down and towards the middle or the side, and the same in the other lung.
_SHIFTS = ((-0.25, 0.0), (0.25, 0.0), (-0.125, 0.0), (0.125, 0.0), (0.0, -0.125), (0.0, 0.125))


def lesion_free_regions(outline: Tensor) -> tuple[Tensor, Tensor]:
    """Copies of an outline in other places of the same chest, without the cells that the lesion touches.

    The copies are the outline mirrored into the other lung, and outline and mirrored outline moved by an eighth or a
    quarter of the picture. No outline of the lungs is needed: lesions lie in lungs, so do their mirror images, mostly. A
    lesion that fills both lungs leaves regions beside them alone, which tell it from whatever else there is to look at.

    Args:
        outline: [B, 1, h, w] in [0, 1].

    Returns:
        regions [B, K, h, w] in [0, 1], and which of them [B, K] kept at least a quarter of the lesion's area.
    """
    mirrored = outline.flip(-1)
    copies = [mirrored, *(_moved(source, *shift) for source in (outline, mirrored) for shift in _SHIFTS)]
    regions = torch.cat(copies, dim=1) * (outline == 0)
    area = outline.sum(dim=(2, 3))
    return regions, (regions.sum(dim=(2, 3)) >= SMALLEST_SHARE * area) & (area > 0)


def _moved(outline: Tensor, down: float, right: float) -> Tensor:
    """An outline [B, 1, h, w] moved by shares of the picture; what leaves it is gone."""
    height, width = outline.shape[-2:]
    rows, columns = round(down * height), round(right * width)
    moved = torch.zeros_like(outline)
    target = (_slice(rows, height), _slice(columns, width))
    source = (_slice(-rows, height), _slice(-columns, width))
    moved[..., target[0], target[1]] = outline[..., source[0], source[1]]
    return moved


def _slice(shift: int, length: int) -> slice:
    return slice(max(shift, 0), length + min(shift, 0))
