"""The attention from which on a cell counts as lesion, fitted to outlined validation pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from monai_pneumonia.engines.lesion_trainer import IMAGE_KEY
from monai_pneumonia.networks import LesionAttentionNet
from monai_pneumonia.transforms.outline import OutlineKind

FEWEST_PICTURES = 5
_THRESHOLDS = torch.linspace(0.05, 0.95, 19)


@torch.no_grad()
def fit_lesion_threshold(
    network: LesionAttentionNet, loader: Iterable[dict[str, Any]], device: torch.device | str
) -> tuple[float, str] | None:
    """The threshold with the largest mean Dice over outlined pictures.

    Pictures outlined pixel by pixel decide; where there are fewer than five, those with boxes, which cover more than
    the lesion. The two are never pooled.

    Args:
        network: in evaluation mode.
        loader: batches with images [B, 1, S, S] and, from a training that uses outlines, their outlines and kinds.
        device: where the network is.

    Returns:
        the threshold and what it was fitted on; None where neither kind has five pictures, or there is no attention.
    """
    dices: dict[OutlineKind, list[Tensor]] = {OutlineKind.PIXEL: [], OutlineKind.BOX: []}
    for batch in loader:
        if "outline" not in batch:
            return None
        outline = batch["outline"] >= 0.5
        attention = network.explain(batch[IMAGE_KEY].to(device)).attention
        if attention is None:
            return None
        maps = functional.interpolate(attention.float(), size=outline.shape[-2:], mode="bilinear", align_corners=False).cpu()
        for kind, found in dices.items():
            chosen = (batch["outline_kind"] == kind) & outline.any(dim=-1).any(dim=-1)[:, 0]
            found.extend(_dice_by_threshold(picture, drawn) for picture, drawn in zip(maps[chosen], outline[chosen], strict=True))
    for kind, found in dices.items():
        if len(found) >= FEWEST_PICTURES:
            means = torch.stack(found).mean(dim=0)
            best = round(float(_THRESHOLDS[int(means.argmax())]), 2)
            return (
                best,
                f"largest mean Dice, {float(means.max()):.3f}, over {len(found)} validation pictures with {kind.name.lower()} outlines",
            )
    return None


def _dice_by_threshold(attention: Tensor, outline: Tensor) -> Tensor:
    """Dice [T] of a map [1, S, S] at each threshold with an outline [1, S, S]."""
    lit = attention.flatten()[None] >= _THRESHOLDS[:, None]
    overlap = (lit & outline.flatten()[None]).sum(dim=1)
    return 2.0 * overlap / (lit.sum(dim=1) + outline.sum())
