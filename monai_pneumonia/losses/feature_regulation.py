"""Contrastive regulation in feature space: what is attended looks like the lesion, and unlike the rest of the lungs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.loss import _Loss

from monai_pneumonia.losses.lesion_free_regions import lesion_free_regions

_EPSILON = 1e-6


class FeatureRegulationLoss(_Loss):
    """InfoNCE(a; p, n_k) over feature levels, on outlined pictures alone.

    a = sum(A f) / sum A is the attended feature, p the mean feature of the lesion, n_k those of lesion-free regions of the
    same picture (:func:`lesion_free_regions`); f are the features with length one at every place. Features
    are constants in all three: what is learned is where to look. With a gradient through a's features the loss can be met
    without looking at the lesion, by bending what is attended until it resembles a lesion, and without lengths of one by the
    places that happen to be large. Our reading of the abstract's "contrastive regulation of features".

    Args:
        temperature: of the cosine similarities, > 0.

    Raises:
        ValueError: the temperature is not positive.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.temperature = temperature

    def forward(self, levels: Sequence[Tensor], attention: Tensor, outline: Tensor) -> Tensor:
        """Computes the loss in single precision: the mean over levels and over pictures that have a lesion and a region without.

        Args:
            levels: features [B, D_i, h, w], all on one grid.
            attention: A, [B, 1, h, w] in [0, 1].
            outline: M on the same grid, [B, 1, h, w] in [0, 1]; all zero where there is none.

        Returns:
            a scalar; zero, with a gradient of zero, where no picture has both.

        Raises:
            ValueError: shapes differ.
        """
        if outline.shape != attention.shape or any(level[:, :1].shape != attention.shape for level in levels):
            shapes = [list(tensor.shape) for tensor in (attention, outline, *levels)]
            raise ValueError(f"attention and outline must be [B, 1, h, w] and levels [B, D, h, w], got {shapes}")
        regions, valid = lesion_free_regions(outline)
        usable = valid.any(dim=1)
        if not bool(usable.any()):
            return attention.sum() * 0.0
        # Under autocast matrix products would be half precision, whatever the precision of what they multiply.
        with torch.autocast(attention.device.type, enabled=False):
            losses = [
                self._contrast(level[usable].float(), attention[usable].float(), outline[usable].float(), regions[usable], valid[usable])
                for level in levels
            ]
            return torch.stack(losses).mean()

    def _contrast(self, features: Tensor, attention: Tensor, outline: Tensor, regions: Tensor, valid: Tensor) -> Tensor:
        features = functional.normalize(features.detach(), dim=1, eps=_EPSILON)
        attended = functional.normalize(pooled_features(features, attention)[:, 0], dim=1, eps=_EPSILON)
        lesion = functional.normalize(pooled_features(features, outline), dim=2, eps=_EPSILON)
        elsewhere = functional.normalize(pooled_features(features, regions), dim=2, eps=_EPSILON)
        similarity = torch.einsum("bd,bkd->bk", attended, torch.cat([lesion, elsewhere], dim=1)) / self.temperature
        similarity = torch.cat([similarity[:, :1], similarity[:, 1:].masked_fill(~valid, float("-inf"))], dim=1)
        return (torch.logsumexp(similarity, dim=1) - similarity[:, 0]).mean()


def pooled_features(features: Tensor, regions: Tensor) -> Tensor:
    """The mean of features [B, D, h, w] under each of K regions [B, K, h, w] in [0, 1]: [B, K, D]."""
    sums = torch.einsum("bdhw,bkhw->bkd", features, regions)
    return sums / (regions.sum(dim=(2, 3)).unsqueeze(2) + _EPSILON)
