"""From logits to probabilities."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def class_probabilities(logits: Tensor, activation: str = "softmax", temperature: float = 1.0) -> Tensor:
    """Class probabilities [B, C] of logits [B, C], in double precision.

    Args:
        logits: class scores.
        activation: ``softmax``, or ``sigmoid``: each class against the rest, scaled to a sum of one.
        temperature: logits are divided by it, > 0.
    """
    scaled = logits.double() / temperature
    if activation == "softmax":
        return scaled.softmax(dim=1)
    # The softmax of log-probabilities divides by their sum, and survives where all of them vanish.
    return functional.logsigmoid(scaled).softmax(dim=1)
