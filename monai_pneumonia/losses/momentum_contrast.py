"""The loss of momentum contrast (MoCo)."""

from __future__ import annotations

import torch
from monai.utils import LossReduction
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.loss import _Loss

from monai_pneumonia.losses.nt_xent import check_pairs
from monai_pneumonia.losses.reduction import reduce_items

EMPTY_SLOT = -1
"""Patient code of a queue's slot that holds no key yet."""


class MomentumContrastLoss(_Loss):
    """InfoNCE of a query against its own key and a queue of earlier keys (MoCo v2, Chen et al. 2020, arXiv 2003.04297).

    With q_i a query, k_i the key of the same picture's other view, all of length 1, the loss of i is

        log(exp(q_i k_i / t) + sum over n in N(i) of exp(q_i n / t)) - q_i k_i / t

    where N(i) holds the queue's keys of all other patients. Empty slots count for nothing: before the first key the loss is 0.
    Queries depend on no other query, so accumulated batches and several processes give the loss of one large batch.

    Args:
        temperature: t, above 0.
        reduction: ``mean`` over the queries, ``sum`` or ``none``.

    Raises:
        ValueError: the temperature is not above 0.
    """

    def __init__(self, temperature: float = 0.1, reduction: LossReduction | str = LossReduction.MEAN) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.temperature = temperature

    def forward(
        self, queries: Tensor, keys: Tensor, queue: Tensor, queue_patients: Tensor | None = None, patients: Tensor | None = None
    ) -> Tensor:
        """Computes the loss in single precision; gradients flow to the queries alone.

        Args:
            queries: [B, D], of any length but 0.
            keys: [B, D], of the same pictures' other views.
            queue: earlier keys, [K, D].
            queue_patients: the patients' codes of the queue, [K]; -1 marks an empty slot. Without it all slots are full.
            patients: the patients' codes of the queries, [B], 0 or more. Without it nothing full is left out.

        Returns:
            a scalar, or [B] without reduction.

        Raises:
            ValueError: shapes do not fit, or there are codes of queries but none of the queue.
        """
        check_pairs(queries, keys, patients)
        if queue.ndim != 2 or queue.shape[1] != queries.shape[1]:
            raise ValueError(f"the queue must be [K, D] with D = {queries.shape[1]}, got {list(queue.shape)}")
        if queue_patients is not None and queue_patients.shape != queue.shape[:1]:
            raise ValueError(f"queue_patients must be [K] = [{len(queue)}], got {list(queue_patients.shape)}")
        if patients is not None and queue_patients is None:
            raise ValueError("patients are given, but no queue_patients to compare them with")
        # Autocast would do the matrix product in half precision, where a temperature of .07 costs the second digit.
        with torch.autocast(queries.device.type, enabled=False):
            query = functional.normalize(queries.float(), dim=1)
            key, past = (functional.normalize(part.detach().float(), dim=1) for part in (keys, queue))
            positive = (query * key).sum(dim=1, keepdim=True) / self.temperature
            negatives = query @ past.T / self.temperature
        if queue_patients is not None:
            left_out = (queue_patients == EMPTY_SLOT)[None, :]
            if patients is not None:
                left_out = left_out | (patients[:, None] == queue_patients[None, :])
            negatives = negatives.masked_fill(left_out, float("-inf"))
        losses = torch.cat([positive, negatives], dim=1).logsumexp(dim=1) - positive[:, 0]
        return reduce_items(losses, self.reduction)
