"""What a label alone says of an attention map: pneumonia is somewhere, or nowhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

SHARPNESS = 4.0


def brightest_spot(attention_logits: Tensor, sharpness: float = SHARPNESS) -> Tensor:
    """A smooth maximum [B] of attention logits [B, 1, h, w]: the log-mean-exp, from the mean (0) to the maximum (infinity).

    Pinheiro and Collobert 2015, arXiv 1411.6228.
    """
    cells = attention_logits.flatten(1) * sharpness
    return (torch.logsumexp(cells, dim=1) - math.log(cells.shape[1])) / sharpness


def spot_loss(attention_logits: Tensor, has_pneumonia: Tensor) -> Tensor:
    """Cross-entropy of the brightest spot: multiple-instance learning, a picture being a bag of cells.

    Args:
        attention_logits: [B, 1, h, w].
        has_pneumonia: [B], true where some spot must light up, false where none may.

    Returns:
        [B].
    """
    spot = brightest_spot(attention_logits)
    return functional.binary_cross_entropy_with_logits(spot, has_pneumonia.to(spot.dtype), reduction="none")
