"""Classification metrics as an Ignite metric."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from monai.utils.enums import CommonKeys

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.handlers import ClassificationMetrics
from monai_pneumonia.metrics.classification import classification_metrics
from monai_pneumonia.networks.probabilities import class_probabilities

LABELS = LabelSpace()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_batches_give_what_the_pure_function_gives_of_the_whole(activation: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 4, generator=generator)
    labels = ["normal", "bacterial", "viral", "covid19", "pneumonia_unspecified"] * 8
    candidates = torch.stack([torch.from_numpy(LABELS.target(label)) for label in labels])
    batches = [{CommonKeys.PRED: logits[start : start + 7], CommonKeys.LABEL: candidates[start : start + 7]} for start in range(0, 40, 7)]
    engine = Engine(lambda engine, batch: batch)
    ClassificationMetrics(LABELS, "macro_auc", beside=("p_pneumonia_auc",), activation=activation).attach(engine, "macro_auc")
    metrics = engine.run(batches).metrics
    expected = classification_metrics(class_probabilities(logits, activation).numpy(), candidates.numpy(), LABELS)
    assert metrics["macro_auc"] == pytest.approx(expected["macro_auc"])
    assert metrics["p_pneumonia_auc"] == pytest.approx(expected["p_pneumonia_auc"])
