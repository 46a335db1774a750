"""Predictions measured against a datalist: metrics with intervals, tables, figures and one page that gathers them. Needs no network."""

from monai_pneumonia.evaluation.evaluating import RESULT_FILES, evaluate_predictions

__all__ = ["RESULT_FILES", "evaluate_predictions"]
