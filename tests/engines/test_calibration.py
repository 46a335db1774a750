"""Temperature and operating point."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.engines.calibration import fit_operating_point, fit_temperature

LABELS = LabelSpace()


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true_temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20000, 4, generator=generator) * 2
    drawn = torch.multinomial((logits / true_temperature).softmax(dim=1), 1, generator=generator)[:, 0]
    candidates = torch.nn.functional.one_hot(drawn, 4).float()
    assert fit_temperature(logits, candidates, "softmax") == pytest.approx(true_temperature, rel=0.08)


def test_without_labels_the_temperature_stays_one() -> None:
    assert fit_temperature(torch.randn(5, 4), torch.ones(5, 4), "softmax") == 1.0


def test_groups_count_as_labels_and_unlabelled_items_do_not() -> None:
    logits = torch.tensor([[4.0, 0, 0, 0], [0, 4.0, 0, 0]]).repeat(50, 1)
    told = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 1, 1]]).repeat(50, 1)
    with_unlabelled = fit_temperature(torch.cat([logits, -logits]), torch.cat([told, torch.ones(100, 4)]), "softmax")
    assert with_unlabelled == pytest.approx(fit_temperature(logits, told, "softmax"))
    assert with_unlabelled < 0.1  # all right, so ever surer


def _candidates(*labels: str | None) -> np.ndarray:
    return np.stack([LABELS.target(label) for label in labels])


def test_the_operating_point_separates_what_can_be_separated() -> None:
    candidates = _candidates("normal", "normal", "viral", "pneumonia_unspecified", None)
    point = fit_operating_point(np.array([0.1, 0.3, 0.7, 0.9, 0.5]), candidates, LABELS)
    # The unlabelled item's 0.5 may stand between, but says nothing: halfway between 0.3 and 0.7.
    assert point == pytest.approx(0.5)


def test_the_operating_point_maximises_youdens_index() -> None:
    rng = np.random.default_rng(0)
    ill = rng.random(300) < 0.4
    scores = np.clip(rng.normal(0.3 + 0.3 * ill, 0.2), 0, 1)
    candidates = _candidates(*("viral" if sick else "normal" for sick in ill))
    point = fit_operating_point(scores, candidates, LABELS)

    def youden(threshold: float) -> float:
        called = scores >= threshold
        return float(called[ill].mean() - called[~ill].mean())

    assert youden(point) == pytest.approx(max(youden(score) for score in scores))


@pytest.mark.parametrize("label", ["normal", "viral"])
def test_one_kind_alone_gives_a_half(label: str) -> None:
    assert fit_operating_point(np.array([0.2, 0.9]), _candidates(label, label), LABELS) == 0.5


def test_scores_no_better_than_chance_leave_the_point_at_a_half(caplog: pytest.LogCaptureFixture) -> None:
    assert fit_operating_point(np.array([0.9, 0.1]), _candidates("normal", "viral"), LABELS) == 0.5
    assert "does not tell pneumonia apart" in caplog.text
