"""Cross-entropy over sets of candidate classes."""

from __future__ import annotations

import torch
from monai.utils import LossReduction
from torch import Tensor
from torch.nn.modules.loss import _Loss

from monai_pneumonia.losses.reduction import candidate_weights, check_shapes, reduce_items


class CandidateCrossEntropyLoss(_Loss):
    """-w log(sum of the allowed classes' probabilities), the probabilities a softmax.

    With one class allowed this is cross-entropy, with all allowed it is zero: a parent class ("pneumonia of a kind that
    nobody stated") never becomes a detector of the hospital that uses it. Known as partial-label or superset learning
    (Cour et al. 2011, Journal of Machine Learning Research 12).

    Args:
        class_weights: [C]; an item's weight is the mean over its allowed classes. None weighs all alike.
        reduction: ``mean`` over the batch, ``sum`` or ``none``.
    """

    class_weights: Tensor | None

    def __init__(self, class_weights: Tensor | None = None, reduction: LossReduction | str = LossReduction.MEAN) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        self.register_buffer("class_weights", None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32))

    def forward(self, logits: Tensor, candidates: Tensor) -> Tensor:
        """Computes the loss in single precision.

        Args:
            logits: [B, C].
            candidates: [B, C] in {0, 1}; each row allows one class or more.

        Returns:
            a scalar, or [B] without reduction.

        Raises:
            ValueError: shapes differ, or a row allows nothing.
        """
        check_shapes(logits, candidates)
        logits = logits.float()
        allowed = logits.masked_fill(candidates < 0.5, float("-inf"))
        losses = torch.logsumexp(logits, dim=1) - torch.logsumexp(allowed, dim=1)
        return reduce_items(losses * candidate_weights(self.class_weights, candidates), self.reduction)
