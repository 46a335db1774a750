"""The ratio of AECR-Net: near to the positive, far from the negative."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.loss import _Loss


class ContrastiveRatioLoss(_Loss):
    """sum_i w_i d(f_i, p_i) / (d(f_i, n_i) + bound), after AECR-Net (Wu et al. 2021, arXiv 2104.09367).

    d is the mean absolute difference of normalised features. As published the denominator is the distance alone, whose
    gradient grows without bound as feature and negative meet; here it is at most d / bound^2.

    Args:
        weights: w_i, one a level; by default alike, with the sum 1.
        bound: what the denominator never falls below, > 0, on the scale of d.

    Raises:
        ValueError: the bound is not positive.
    """

    def __init__(self, weights: Sequence[float] | None = None, bound: float = 0.05) -> None:
        super().__init__()
        if not bound > 0:
            raise ValueError(f"bound must be above 0, got {bound}")
        self.weights = weights
        self.bound = bound

    def forward(self, anchors: Sequence[Tensor], positives: Sequence[Tensor], negatives: Sequence[Tensor]) -> Tensor:
        """Computes the loss in single precision, the mean over pictures; gradients reach the anchors alone.

        Args:
            anchors: f_i, features [B, D_i] of the pictures, one a level.
            positives: p_i, of the same shapes.
            negatives: n_i, of the same shapes.

        Raises:
            ValueError: the numbers of levels or their shapes differ.
        """
        shapes = [[list(level.shape) for level in levels] for levels in (anchors, positives, negatives)]
        weights = self.weights if self.weights is not None else [1 / max(1, len(anchors))] * len(anchors)
        if shapes[0] != shapes[1] or shapes[0] != shapes[2] or len(weights) != len(anchors) or not anchors:
            raise ValueError(
                f"anchors, positives and negatives must be one [B, D] a level and weight, got {shapes}, {len(weights)} weights"
            )
        ratios = [
            weight * (_distance(anchor, positive) / (_distance(anchor, negative) + self.bound))
            for weight, anchor, positive, negative in zip(weights, anchors, positives, negatives, strict=True)
        ]
        return torch.stack(ratios).sum(dim=0).mean()


def _distance(features: Tensor, reference: Tensor) -> Tensor:
    """Mean absolute difference [B] of features [B, D] and constants [B, D], each scaled to a root mean square of one."""
    scale = features.shape[1] ** 0.5
    first = functional.normalize(features.float(), dim=1, eps=1e-6) * scale
    second = functional.normalize(reference.detach().float(), dim=1, eps=1e-6) * scale
    distance: Tensor = (first - second).abs().mean(dim=1)
    return distance
