"""How far an attention map is from lesions of which only the boxes are known."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_NOWHERE = -1e4


def box_outline_loss(attention_logits: Tensor, boxes: Tensor) -> Tensor:
    """Nothing lights up outside of the boxes, and in every row and column of a box something does.

    A box covers more than its lesion, so what lies inside is no target cell by cell; that the lesion touches all four
    sides is all that it says (the projection term of BoxInst, Tian et al. 2021, arXiv 2012.02310).

    Args:
        attention_logits: [B, 1, h, w].
        boxes: the share of each cell that lies in a box, [B, 1, h, w] in [0, 1]; not all zero.

    Returns:
        [B]: cross-entropy of the cells that no box touches, plus that of the best cell of each row and column of the boxes.
    """
    inside = boxes > 0
    # A cell grazed by an edge is neither outside nor a place where something must be.
    solid = boxes >= 0.5 * boxes.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    dark = functional.softplus(attention_logits).masked_fill(inside, 0.0)
    outside = dark.sum(dim=(1, 2, 3)) / (~inside).sum(dim=(1, 2, 3)).clamp(min=1)
    lit = attention_logits.masked_fill(~inside, _NOWHERE)
    rows = _missed(lit.amax(dim=3), solid.any(dim=3))
    columns = _missed(lit.amax(dim=2), solid.any(dim=2))
    return outside + 0.5 * (rows + columns)


def _missed(best: Tensor, needed: Tensor) -> Tensor:
    """Mean cross-entropy [B] of the best cells [B, 1, n] of those lines that need a hit [B, 1, n]."""
    missed = functional.softplus(-best).masked_fill(~needed, 0.0)
    return missed.sum(dim=(1, 2)) / needed.sum(dim=(1, 2)).clamp(min=1)
