"""Ignite handlers."""

from monai_pneumonia.handlers.best_weights import BestWeights
from monai_pneumonia.handlers.collapse import FeatureCollapse
from monai_pneumonia.handlers.first_rank import OnFirstRank
from monai_pneumonia.handlers.loss_parts import LossParts
from monai_pneumonia.handlers.progress import TrainingProgress
from monai_pneumonia.handlers.referenced import Referenced
from monai_pneumonia.handlers.run_state import RunState
from monai_pneumonia.handlers.validation_metrics import ClassificationMetrics
from monai_pneumonia.handlers.weight_average import WeightAverage

__all__ = [
    "BestWeights",
    "ClassificationMetrics",
    "FeatureCollapse",
    "LossParts",
    "OnFirstRank",
    "Referenced",
    "RunState",
    "TrainingProgress",
    "WeightAverage",
]
