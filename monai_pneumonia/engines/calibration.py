"""Temperature and operating point, fitted to validation predictions."""

from __future__ import annotations

import logging

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import roc_curve
from torch import Tensor

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.networks.probabilities import class_probabilities

_LOGGER = logging.getLogger(__name__)
_LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)


def fit_temperature(logits: Tensor, candidates: Tensor, activation: str) -> float:
    """The temperature that makes the labels likeliest (Guo et al. 2017, arXiv 1706.04599), over candidate sets.

    Args:
        logits: [N, C].
        candidates: [N, C] in {0, 1}.
        activation: ``softmax`` or ``sigmoid``.

    Returns:
        a positive number; 1 where no item has a label.
    """
    told = candidates.sum(dim=1) < candidates.shape[1]
    if not bool(told.any()):
        return 1.0

    def cost(log_temperature: float) -> float:
        probabilities = class_probabilities(logits[told], activation, float(np.exp(log_temperature)))
        allowed = (probabilities * candidates[told]).sum(dim=1)
        return float(-torch.log(allowed.clamp(min=1e-12)).mean())

    return float(np.exp(minimize_scalar(cost, bounds=_LOG_TEMPERATURE_BOUNDS, method="bounded").x))


def fit_operating_point(p_pneumonia: np.ndarray, candidates: np.ndarray, labels: LabelSpace) -> float:
    """The probability of pneumonia from which sensitivity + specificity is greatest (Youden 1950).

    Args:
        p_pneumonia: [N].
        candidates: [N, C] in {0, 1}.
        labels: the classes.

    Returns:
        halfway between the last value above and the first below; 0.5 where only one kind of item is known, or where no
        threshold is better than chance.
    """
    negative_allowed = candidates[:, labels.negative_index] > 0
    alone = candidates.sum(axis=1) == 1
    decided = ~negative_allowed | alone
    truth, scores = ~negative_allowed[decided], p_pneumonia[decided]
    if truth.all() or not truth.any():
        return 0.5
    false_positive, true_positive, thresholds = roc_curve(truth, scores)
    best = float(thresholds[int(np.argmax(true_positive - false_positive))])
    if not np.isfinite(best):
        _LOGGER.warning("p_pneumonia does not tell pneumonia apart on the validation section: the operating point stays at 0.5")
        return 0.5
    below = scores[scores < best]
    return float(np.clip((best + below.max()) / 2 if len(below) else best, 0.0, 1.0))
