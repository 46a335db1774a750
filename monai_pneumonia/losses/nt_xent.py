"""NT-Xent, the loss of SimCLR."""

from __future__ import annotations

import torch
from monai.utils import LossReduction
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.loss import _Loss

from monai_pneumonia.losses.gathering import gather_features, gather_rows
from monai_pneumonia.losses.reduction import reduce_items


class NTXentLoss(_Loss):
    """Normalised, temperature-scaled cross-entropy (SimCLR, Chen et al. 2020, arXiv 2002.05709) over two views of each picture.

    With z the 2B features of length 1 and j(i) the other view of i's picture, the loss of i is

        log(sum over k in N(i) and j(i) of exp(z_i z_k / t)) - z_i z_j(i) / t

    where N(i) holds the features of all other patients: another picture of the same patient is no example of what differs.
    MONAI's ``ContrastiveLoss`` knows no patients, overflows in half precision at small temperatures and builds a
    (2B) x (2B) x D tensor; here it is one matrix product in single precision.

    In several processes the features of all ranks are candidates, with gradient, and the step that DistributedDataParallel
    takes is that of one process with the whole batch. Accumulated batches do not see each other: accumulation gives fewer
    negatives, not the loss of one large batch.

    Args:
        temperature: t, above 0.
        reduction: ``mean`` over the 2B views, ``sum`` or ``none``.

    Raises:
        ValueError: the temperature is not above 0.
    """

    def __init__(self, temperature: float = 0.1, reduction: LossReduction | str = LossReduction.MEAN) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.temperature = temperature

    def forward(self, first: Tensor, second: Tensor, patients: Tensor | None = None) -> Tensor:
        """Computes the loss in single precision.

        Args:
            first: features of the pictures' first views, [B, D], of any length but 0.
            second: those of the second views.
            patients: a whole number for each picture's patient, [B]; without it all pictures are of different patients.

        Returns:
            a scalar, or [2B] without reduction.

        Raises:
            ValueError: shapes do not fit.
        """
        check_pairs(first, second, patients)
        if patients is None:
            losses = self._losses(gather_features(first), gather_features(second), None)
        else:
            losses = self._losses(gather_features(first), gather_features(second), gather_rows(patients))
        return reduce_items(losses, self.reduction)

    def _losses(self, first: Tensor, second: Tensor, patients: Tensor | None) -> Tensor:
        pictures = len(first)
        # Autocast would do the matrix product in half precision, where a temperature of .07 costs the second digit.
        with torch.autocast(first.device.type, enabled=False):
            features = functional.normalize(torch.cat([first, second]).float(), dim=1)
            similarities = features @ features.T / self.temperature
        view = torch.arange(2 * pictures, device=first.device)
        partner = (view + pictures) % (2 * pictures)
        code = view % pictures if patients is None else patients.to(first.device).repeat(2)
        left_out = code[:, None] == code[None, :]
        left_out[view, partner] = False
        return similarities.masked_fill(left_out, float("-inf")).logsumexp(dim=1) - similarities[view, partner]


def check_pairs(first: Tensor, second: Tensor, patients: Tensor | None) -> None:
    """Checks that two sets of features are both [B, D] and the patients' codes [B].

    Raises:
        ValueError: they are not.
    """
    if first.ndim != 2 or first.shape != second.shape or len(first) == 0:
        raise ValueError(f"the features of both views must be [B, D] with B of 1 or more, got {list(first.shape)} and {list(second.shape)}")
    if patients is not None and patients.shape != first.shape[:1]:
        raise ValueError(f"patients must be [B] = [{len(first)}], got {list(patients.shape)}")
