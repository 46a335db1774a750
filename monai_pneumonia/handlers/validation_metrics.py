"""The project's classification metrics as one Ignite metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ignite.engine import Engine
from ignite.exceptions import NotComputableError
from ignite.metrics import EpochMetric
from monai.utils import evenly_divisible_all_gather
from monai.utils.enums import CommonKeys

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import ModelFaultError
from monai_pneumonia.metrics.classification import classification_metrics
from monai_pneumonia.networks.probabilities import class_probabilities

REPORTED_BESIDE = ("balanced_accuracy", "p_pneumonia_auc", "p_pneumonia_average_precision", "class_log_loss")


class ClassificationMetrics(EpochMetric):
    """One metric of :func:`classification_metrics` as the value, further ones beside it in ``engine.state.metrics``.

    Predictions of all ranks are gathered, however unevenly they are spread.

    Args:
        labels: classes and groups.
        key: the metric whose value this is.
        beside: further metrics, set in the engine's state under their own names.
        activation: how logits become probabilities, ``softmax`` or ``sigmoid``.
    """

    def __init__(
        self, labels: LabelSpace, key: str = "macro_auc", beside: Sequence[str] = REPORTED_BESIDE, activation: str = "softmax"
    ) -> None:
        self.labels = labels
        self.key = key
        self.beside = tuple(beside)
        self.activation = activation
        self._values: dict[str, float] = {}
        super().__init__(self._metric, output_transform=_logits_and_candidates, check_compute_fn=False)

    def compute(self) -> float:
        """The key metric over all ranks' predictions.

        Raises:
            NotComputableError: nothing was predicted.
        """
        if not self._predictions:
            raise NotComputableError("no prediction to validate")
        logits = evenly_divisible_all_gather(torch.cat(self._predictions))
        candidates = evenly_divisible_all_gather(torch.cat(self._targets))
        return self._metric(logits.cpu(), candidates.cpu())

    def _metric(self, logits: torch.Tensor, candidates: torch.Tensor) -> float:
        if not bool(torch.isfinite(logits).all()):
            raise ModelFaultError("the network's validation logits are not finite: lower `learning_rate`, or switch `amp` off")
        probabilities = class_probabilities(logits, self.activation)
        self._values = classification_metrics(probabilities.numpy(), candidates.numpy(), self.labels)
        return float(self._values[self.key])

    def completed(self, engine: Engine, name: str) -> None:
        """Writes the metrics of the epoch into the engine's state."""
        super().completed(engine, name)
        engine.state.metrics.update({key: float(self._values[key]) for key in self.beside})


def _logits_and_candidates(output: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return output[CommonKeys.PRED].detach(), output[CommonKeys.LABEL].detach()
