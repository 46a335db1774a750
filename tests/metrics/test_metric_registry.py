"""The table of metrics is what code computes and docs show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.metrics import METRICS, Family, classification_metrics, metric_names, metric_of
from monai_pneumonia.metrics.registry import markdown_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "evaluation.md"
CLASSES = ("normal", "bacterial", "viral")


def test_names_are_unique():
    names = metric_names(CLASSES)
    assert len(names) == len(set(names))


def test_families_share_the_names_out():
    assert {*metric_names(CLASSES, Family.CLASS), *metric_names(CLASSES, Family.PNEUMONIA)} == set(metric_names(CLASSES))


def test_code_computes_exactly_the_table():
    values = classification_metrics(np.eye(3), np.eye(3), LabelSpace.of(CLASSES))
    assert set(values) == set(metric_names(CLASSES))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_perfect_model_has_the_best_value(metric):
    values = classification_metrics(np.eye(3), np.eye(3), LabelSpace.of(CLASSES))
    assert values[metric.key("bacterial")] == pytest.approx(1 if metric.higher_is_better else 0, abs=1e-9)


@pytest.mark.parametrize("name", metric_names(CLASSES))
def test_a_key_leads_back_to_its_entry(name):
    assert name in {metric_of(name, CLASSES).key(label) for label in CLASSES}


def test_an_unknown_key_is_none():
    with pytest.raises(KeyError):
        metric_of("auc_fungal", CLASSES)


def test_the_document_holds_the_table():
    assert markdown_table() in DOCUMENT.read_text(encoding="utf-8")
