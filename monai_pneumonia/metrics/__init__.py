"""Pure functions: class metrics with intervals, calibration, localisation."""

from monai_pneumonia.metrics.bootstrap import Estimate, bootstrap_estimates
from monai_pneumonia.metrics.classification import ClassSample, PneumoniaSample, classification_metrics, split_by_knowledge
from monai_pneumonia.metrics.localization import LocalizationSample, localization_values
from monai_pneumonia.metrics.registry import (
    LOCALIZATION_KINDS,
    LOCALIZATION_METRICS,
    METRICS,
    Family,
    LocalizationMetric,
    Metric,
    localization_metrics_of,
    localization_names,
    metric_names,
    metric_of,
)

__all__ = [
    "LOCALIZATION_KINDS",
    "LOCALIZATION_METRICS",
    "METRICS",
    "ClassSample",
    "Estimate",
    "Family",
    "LocalizationMetric",
    "LocalizationSample",
    "Metric",
    "PneumoniaSample",
    "bootstrap_estimates",
    "classification_metrics",
    "localization_metrics_of",
    "localization_names",
    "localization_values",
    "metric_names",
    "metric_of",
    "split_by_knowledge",
]
