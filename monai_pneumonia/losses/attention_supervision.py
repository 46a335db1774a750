"""What outlines and labels ask of the attention map."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.loss import _Loss

from monai_pneumonia.losses.box_outline import box_outline_loss
from monai_pneumonia.losses.lesion_target import LesionTarget
from monai_pneumonia.losses.pixel_outline import pixel_outline_loss
from monai_pneumonia.losses.spot import spot_loss
from monai_pneumonia.transforms.outline import OutlineKind


class AttentionSupervisionLoss(_Loss):
    """Trains the attention map by whatever is known of a picture; the mean over the batch.

    ========================  ==================================================================
    drawn pixel by pixel      :func:`pixel_outline_loss`
    boxes                     :func:`box_outline_loss`
    read, nothing found       every cell dark
    nobody outlined it        :func:`spot_loss` by its label, weighted; nothing where that is open
    ========================  ==================================================================

    Args:
        negative_index: the channel of the class that means no pneumonia.
        unoutlined_weight: weight of pictures that nobody outlined, 0 or more. They come from other hospitals than the
            outlined ones, and a label places nothing, so it is small.

    Raises:
        ValueError: the weight is negative.
    """

    def __init__(self, negative_index: int = 0, unoutlined_weight: float = 0.1) -> None:
        super().__init__()
        if unoutlined_weight < 0:
            raise ValueError(f"unoutlined_weight must not be negative, got {unoutlined_weight}")
        self.negative_index = negative_index
        self.unoutlined_weight = unoutlined_weight

    def forward(self, attention_logits: Tensor, target: LesionTarget) -> Tensor:
        """Computes the loss in single precision, a scalar.

        Args:
            attention_logits: [B, 1, h, w].
            target: of the same batch; its outlines are averaged over the cells of the map.
        """
        logits = attention_logits.float()
        outline = target.outline_on(logits.shape[-2:])
        ill, well = target.says_pneumonia(self.negative_index)
        drawn = target.has_outline
        unread = target.kind == OutlineKind.UNKNOWN
        cases = (
            (drawn & (target.kind == OutlineKind.PIXEL), pixel_outline_loss(logits, outline), 1.0),
            (drawn & (target.kind == OutlineKind.BOX), box_outline_loss(logits, outline), 1.0),
            (target.kind == OutlineKind.EMPTY, functional.softplus(logits).mean(dim=(1, 2, 3)), 1.0),
            (unread & (ill | well), spot_loss(logits, ill), self.unoutlined_weight),
        )
        zero = torch.zeros_like(logits[:, 0, 0, 0])
        losses = sum((torch.where(applies, weight * loss, zero) for applies, loss, weight in cases), start=zero)
        return losses.mean()
