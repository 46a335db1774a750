"""Class-Balanced weights: the effective number of samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_pneumonia.errors import UsageError


def class_balanced_weights(class_counts: Sequence[int], beta: float) -> Tensor:
    """Weights (1 - beta) / (1 - beta^n_c), scaled to a mean of one (Cui et al. 2019, arXiv 1901.05555, equation 4).

    beta = 0 weighs all classes alike; beta towards 1 weighs by the inverse of the count.

    Args:
        class_counts: n_c, training items of each class.
        beta: in [0, 1).

    Returns:
        [C], mean 1.

    Raises:
        UsageError: beta is out of range, or a class has no item.
    """
    if not 0.0 <= beta < 1.0:
        raise UsageError(f"beta must be in [0, 1), got {beta} (key `loss#beta`)")
    counts = torch.as_tensor(list(class_counts), dtype=torch.float64)
    if bool((counts < 1).any()):
        raise UsageError(f"a class without a training item has no Class-Balanced weight; counts are {list(class_counts)} (key `loss#name`)")
    weights = (1.0 - beta) / (1.0 - torch.pow(beta, counts))
    return (weights / weights.mean()).float()
