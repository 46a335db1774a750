"""The sum of what a training asks of the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

from monai_pneumonia.losses.attention_supervision import AttentionSupervisionLoss
from monai_pneumonia.losses.lesion_target import LesionTarget


class HasLesionOutput(Protocol):
    """What these losses need of the network's output."""

    @property
    def logits(self) -> Tensor:
        """Class scores [B, C]."""
        ...

    @property
    def attention_logits(self) -> Tensor | None:
        """[B, 1, h, w] before the sigmoid."""
        ...

    @property
    def attention(self) -> Tensor | None:
        """[B, 1, h, w] in [0, 1]."""
        ...

    @property
    def levels(self) -> Sequence[Tensor]:
        """Feature levels [B, D_i, h, w]."""
        ...


class Regulation(Protocol):
    """A regulation of features, from the network's output and what is known of the pictures to a scalar."""

    def __call__(self, output: HasLesionOutput, target: LesionTarget) -> Tensor:
        """The loss of a batch."""
        ...


class LesionLoss(nn.Module):
    """Classification + attention_weight * attention + regulation_weight * regulation.

    Regulation starts after a warm-up, when there is an attention map worth comparing with, and comes in linearly.

    Args:
        classification: a loss over logits [B, C] and candidate sets [B, C].
        attention: supervision of the attention map; None, or a weight of 0, leaves it free.
        attention_weight: 0 or more.
        regulation: a regulation of features; None, or a weight of 0, does without.
        regulation_weight: 0 or more.
        regulation_warmup: share of the training before it starts; it has its full weight when twice as much is done.

    Attributes:
        parts: the unweighted parts of the latest batch, detached, for logs.
    """

    def __init__(
        self,
        classification: _Loss,
        attention: AttentionSupervisionLoss | None = None,
        attention_weight: float = 0.0,
        regulation: Regulation | None = None,
        regulation_weight: float = 0.0,
        regulation_warmup: float = 0.2,
    ) -> None:
        super().__init__()
        self.classification = classification
        self.attention = attention if attention_weight else None
        self.attention_weight = attention_weight
        self.regulation = regulation if regulation_weight else None
        self.regulation_weight = regulation_weight
        self.regulation_warmup = regulation_warmup
        self.regulation_share = 1.0 if regulation_warmup == 0 else 0.0
        self.parts: dict[str, Tensor] = {}

    def set_progress(self, progress: float) -> None:
        """States how much of the training is done, 0 to 1."""
        if self.regulation_warmup:
            self.regulation_share = min(1.0, max(0.0, progress / self.regulation_warmup - 1.0))

    def forward(self, output: HasLesionOutput, target: LesionTarget | Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            output: what the network gives in training.
            target: what is known of the pictures; bare candidate sets [B, C] do for classification alone.

        Raises:
            ValueError: attention or regulation is asked for, and the network has no attention or the target no outlines.
        """
        candidates = target.candidates if isinstance(target, LesionTarget) else target
        loss: Tensor = self.classification(output.logits, candidates)
        self.parts = {"classification": loss.detach()}
        if self.attention is None and self.regulation is None:
            return loss
        if output.attention_logits is None or not isinstance(target, LesionTarget):
            raise ValueError("supervision and regulation of attention need a network with attention and a target with outlines")
        if self.attention is not None:
            supervision: Tensor = self.attention(output.attention_logits, target)
            self.parts["attention"] = supervision.detach()
            loss = loss + self.attention_weight * supervision
        if self.regulation is not None and self.regulation_share > 0:
            regulation = self.regulation(output, target)
            self.parts["regulation"] = regulation.detach()
            loss = loss + self.regulation_weight * self.regulation_share * regulation
        return loss
