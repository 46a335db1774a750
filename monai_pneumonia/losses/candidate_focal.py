"""Binary and focal loss over sets of candidate classes."""

from __future__ import annotations

import math

import torch
from monai.utils import LossReduction
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.loss import _Loss

from monai_pneumonia.losses.reduction import candidate_weights, check_shapes, reduce_items


class CandidateFocalLoss(_Loss):
    """Sigmoid focal loss (Lin et al. 2017, arXiv 1708.02002), one class against the rest; gamma = 0 is binary cross-entropy.

    Classes that an item rules out are negatives. Of its allowed classes at least one is present: with probabilities p_k
    that is P = 1 - prod(1 - p_k), the noisy-or, which is p_k itself where one class is allowed. An item that allows all
    classes says nothing and costs nothing.

    Args:
        gamma: focusing parameter, 0 or more.
        class_weights: [C]; an item's weight is the mean over its allowed classes. None weighs all alike.
        reduction: ``mean`` over the batch, ``sum`` or ``none``.

    Raises:
        ValueError: gamma is negative.
    """

    class_weights: Tensor | None

    def __init__(
        self, gamma: float = 0.0, class_weights: Tensor | None = None, reduction: LossReduction | str = LossReduction.MEAN
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        self.gamma = gamma
        self.register_buffer("class_weights", None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32))

    def forward(self, logits: Tensor, candidates: Tensor) -> Tensor:
        """Computes the loss, summed over classes, in single precision.

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
        allowed = candidates > 0.5
        log_absent = functional.logsigmoid(-logits)
        negatives = -(self.gamma * functional.logsigmoid(logits)).exp() * log_absent
        log_none_present = log_absent.masked_fill(~allowed, 0.0).sum(dim=1)
        positive = -(self.gamma * log_none_present).exp() * self._log_any_present(logits, allowed, log_none_present)
        losses = positive + negatives.masked_fill(allowed, 0.0).sum(dim=1)
        losses = losses.masked_fill(allowed.all(dim=1), 0.0)
        return reduce_items(losses * candidate_weights(self.class_weights, candidates), self.reduction)

    @staticmethod
    def _log_any_present(logits: Tensor, allowed: Tensor, log_none_present: Tensor) -> Tensor:
        """log(1 - exp(x)) for x = log_none_present <= 0; for one allowed class by logsigmoid, which never loses digits."""
        single = functional.logsigmoid((logits * allowed).sum(dim=1))
        x = log_none_present.clamp(max=-1e-30)
        near_zero = x > -math.log(2)
        # Each branch gets an argument that is safe for it, or the gradient of the branch not taken would be NaN.
        several = torch.where(
            near_zero,
            torch.log(-torch.expm1(torch.where(near_zero, x, -1.0))),
            torch.log1p(-torch.exp(torch.where(near_zero, -1.0, x))),
        )
        return torch.where(allowed.sum(dim=1) == 1, single, several)
