"""Pure functions: class metrics with intervals, calibration."""

from monai_pneumonia.metrics.bootstrap import Estimate, bootstrap_estimates
from monai_pneumonia.metrics.classification import ClassSample, PneumoniaSample, classification_metrics, split_by_knowledge
from monai_pneumonia.metrics.registry import METRICS, Family, Metric, metric_names, metric_of

__all__ = [
    "METRICS",
    "ClassSample",
    "Estimate",
    "Family",
    "Metric",
    "PneumoniaSample",
    "bootstrap_estimates",
    "classification_metrics",
    "metric_names",
    "metric_of",
    "split_by_knowledge",
]
