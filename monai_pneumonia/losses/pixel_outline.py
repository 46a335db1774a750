"""How far an attention map is from a lesion that somebody drew pixel by pixel."""

from __future__ import annotations

from monai.losses import DiceLoss
from torch import Tensor
from torch.nn import functional


def pixel_outline_loss(attention_logits: Tensor, outline: Tensor) -> Tensor:
    """Binary cross-entropy, which places every cell, plus Dice, which small lesions need to be heard.

    Args:
        attention_logits: [B, 1, h, w].
        outline: the share of each cell that is lesion, [B, 1, h, w] in [0, 1].

    Returns:
        [B]; not below the entropy of cells that are lesion in part.
    """
    cells = functional.binary_cross_entropy_with_logits(attention_logits, outline, reduction="none").mean(dim=(1, 2, 3))
    overlap: Tensor = DiceLoss(sigmoid=True, soft_label=True, reduction="none")(attention_logits, outline)
    return cells + overlap.flatten(1).mean(dim=1)
