"""Losses, one file each, and their names for configurations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch.nn.modules.loss import _Loss

from monai_pneumonia.errors import UsageError
from monai_pneumonia.losses.attention_supervision import AttentionSupervisionLoss
from monai_pneumonia.losses.candidate_cross_entropy import CandidateCrossEntropyLoss
from monai_pneumonia.losses.candidate_focal import CandidateFocalLoss
from monai_pneumonia.losses.class_balanced import class_balanced_weights
from monai_pneumonia.losses.contrastive_ratio import ContrastiveRatioLoss
from monai_pneumonia.losses.feature_regulation import FeatureRegulationLoss
from monai_pneumonia.losses.lesion_loss import LesionLoss
from monai_pneumonia.losses.lesion_target import LesionTarget
from monai_pneumonia.losses.momentum_contrast import MomentumContrastLoss
from monai_pneumonia.losses.nt_xent import NTXentLoss

_BUILDERS: dict[str, Callable[[Sequence[int], float, float], _Loss]] = {
    "cross_entropy": lambda counts, beta, gamma: CandidateCrossEntropyLoss(),
    "class_balanced_softmax": lambda counts, beta, gamma: CandidateCrossEntropyLoss(class_balanced_weights(counts, beta)),
    "class_balanced_sigmoid": lambda counts, beta, gamma: CandidateFocalLoss(0.0, class_balanced_weights(counts, beta)),
    "class_balanced_focal": lambda counts, beta, gamma: CandidateFocalLoss(gamma, class_balanced_weights(counts, beta)),
}
LOSS_NAMES = tuple(_BUILDERS)
SIGMOID_LOSSES = ("class_balanced_sigmoid", "class_balanced_focal")


def build_loss(name: str, class_counts: Sequence[int], beta: float = 0.999, gamma: float = 2.0) -> _Loss:
    """Builds the classification loss of a configuration.

    Args:
        name: one of ``LOSS_NAMES``.
        class_counts: training items of each class, for the Class-Balanced forms.
        beta: of the Class-Balanced weights, in [0, 1).
        gamma: of the focal form.

    Raises:
        UsageError: unknown name, beta out of range, or a class without items.
    """
    if name not in _BUILDERS:
        raise UsageError(f"unknown loss '{name}': choose one of {', '.join(LOSS_NAMES)} (key `loss#name`)")
    if gamma < 0:
        raise UsageError(f"gamma must not be negative, got {gamma} (key `loss#gamma`)")
    return _BUILDERS[name](class_counts, beta, gamma)


def output_activation(loss_name: str) -> str:
    """How logits trained by a loss become probabilities: ``softmax`` or ``sigmoid``."""
    return "sigmoid" if loss_name in SIGMOID_LOSSES else "softmax"


__all__ = [
    "LOSS_NAMES",
    "AttentionSupervisionLoss",
    "CandidateCrossEntropyLoss",
    "CandidateFocalLoss",
    "ContrastiveRatioLoss",
    "FeatureRegulationLoss",
    "LesionLoss",
    "LesionTarget",
    "MomentumContrastLoss",
    "NTXentLoss",
    "build_loss",
    "class_balanced_weights",
    "output_activation",
]
