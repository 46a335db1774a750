"""Binary and focal loss over sets of candidate classes."""

from __future__ import annotations

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
        log_present, log_absent = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        negatives = -(self.gamma * log_present).exp() * log_absent
        log_none_present = log_absent.masked_fill(~allowed, 0.0).sum(dim=1)
        positive = -(self.gamma * log_none_present).exp() * _log_any_present(log_present, log_absent, allowed)
        losses = positive + negatives.masked_fill(allowed, 0.0).sum(dim=1)
        losses = losses.masked_fill(allowed.all(dim=1), 0.0)
        return reduce_items(losses * candidate_weights(self.class_weights, candidates), self.reduction)


def _log_any_present(log_present: Tensor, log_absent: Tensor, allowed: Tensor) -> Tensor:
    """log(1 - prod(1 - p_k)) [B] over the allowed classes, from log p and log(1 - p), both [B, C].

    As the sum over k of "k is present and no allowed class before it": neither vanishing nor certain probabilities lose
    their gradient, as they do where the product is taken from one.
    """
    none_up_to = log_absent.masked_fill(~allowed, 0.0).cumsum(dim=1)
    none_before = functional.pad(none_up_to[:, :-1], (1, 0))
    return torch.logsumexp((log_present + none_before).masked_fill(~allowed, float("-inf")), dim=1)
