"""The sum of what a training asks of the network."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn
from torch.nn.modules.loss import _Loss


class HasLogits(Protocol):
    """What this loss needs of the network's output."""

    @property
    def logits(self) -> Tensor:
        """Class scores [B, C]."""
        ...


class LesionLoss(nn.Module):
    """The training loss over the network's whole output.

    Args:
        classification: a loss over logits [B, C] and candidate sets [B, C].
    """

    def __init__(self, classification: _Loss) -> None:
        super().__init__()
        self.classification = classification

    def forward(self, output: HasLogits, candidates: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            output: what the network gives in training.
            candidates: [B, C] in {0, 1}, the classes that each item's label allows.
        """
        loss: Tensor = self.classification(output.logits, candidates)
        return loss
