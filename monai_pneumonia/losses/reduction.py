"""What the losses over candidate sets share: shapes, weights, reduction."""

from __future__ import annotations

from torch import Tensor


def check_shapes(logits: Tensor, candidates: Tensor) -> None:
    """Checks that logits and candidates are both [B, C] and that every item allows a class.

    Raises:
        ValueError: they are not.
    """
    if logits.ndim != 2 or logits.shape != candidates.shape:
        raise ValueError(f"logits and candidates must both be [B, C], got {list(logits.shape)} and {list(candidates.shape)}")
    if bool((candidates.sum(dim=1) < 1).any()):
        raise ValueError("an item allows no class at all; an item without a label allows them all")


def candidate_weights(class_weights: Tensor | None, candidates: Tensor) -> Tensor | float:
    """An item's weight [B]: the mean of the class weights [C] over its allowed classes [B, C]."""
    if class_weights is None:
        return 1.0
    candidates = candidates.float()
    return (candidates * class_weights.to(candidates.device)).sum(dim=1) / candidates.sum(dim=1)


def reduce_items(losses: Tensor, reduction: str) -> Tensor:
    """Reduces losses [B] by ``mean``, ``sum`` or ``none``."""
    if reduction == "mean":
        return losses.mean()
    return losses.sum() if reduction == "sum" else losses
